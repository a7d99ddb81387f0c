/// Tokens and their ids. Ids may have holes; two tokens may not share an id.
struct Vocabulary: Sendable {
    private var strings = ByteStringTable()
    /// String number → id.
    private var ids: [Int32] = []
    /// Id → string number, −1 in holes.
    private var numbers: [Int32] = []

    /// Ids stay below this, so that a pair of them fits a word of the pair table.
    static let idLimit = (1 << 21) - 1

    /// How many tokens there are.
    var count: Int { strings.count }
    /// One more than the highest id.
    var idBound: Int { numbers.count }

    /// The id of a token given as its UTF-8 bytes.
    func id(of token: some RandomAccessCollection<UInt8>) -> Int32? { strings.index(of: token).map { ids[$0] } }

    /// The UTF-8 bytes of the token with this id, nil in holes.
    func token(_ id: Int32) -> ArraySlice<UInt8>? {
        guard id >= 0, Int(id) < numbers.count, numbers[Int(id)] >= 0 else { return nil }
        return strings[Int(numbers[Int(id)])]
    }

    /// Adds a token; a token that is there keeps its place and takes the new id, as a JSON reader's last key wins.
    ///
    /// - Returns: false when the id is out of range or another token has it.
    mutating func insert(_ token: some RandomAccessCollection<UInt8>, id: Int) -> Bool {
        guard id >= 0, id < Self.idLimit else { return false }
        if id >= numbers.count { numbers.append(contentsOf: repeatElement(-1, count: id + 1 - numbers.count)) }
        let (number, isNew) = strings.insert(token)
        guard numbers[id] < 0 || Int(numbers[id]) == number else { return false }
        if isNew {
            ids.append(Int32(id))
        } else {
            numbers[Int(ids[number])] = -1
            ids[number] = Int32(id)
        }
        numbers[id] = Int32(number)
        return true
    }
}
