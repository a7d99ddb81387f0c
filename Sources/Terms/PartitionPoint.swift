extension Range<Int> {
    /// The first place that is not `before`, or the end: those that are come first. O(log n), a binary search.
    @inlinable package func partitionPoint(_ isBefore: (Int) -> Bool) -> Int {
        var (lower, upper) = (lowerBound, upperBound)
        while lower < upper {
            let middle = lower + (upper - lower) / 2
            if isBefore(middle) { lower = middle + 1 } else { upper = middle }
        }
        return lower
    }
}
