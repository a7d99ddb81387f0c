import Terms
import Wire
import ZeroMQShell

/// What peers on this machine have put up for this worker's chunks. Reactor thread only.
final class Shelves {
    private var shelves: [(node: NodeID, shelf: Shelf)] = []

    /// Takes up an offer; what can't be opened is left, and its chunks come as bytes.
    func open(_ offer: ShelfOffer, of node: NodeID) {
        shelves.removeAll { $0.node == node }
        if let shelf = Shelf.open(offer) { shelves.append((node, shelf)) }
    }

    /// Lets go of all but these nodes' shelves.
    func keep(_ nodes: [NodeID]) { shelves.removeAll { !nodes.contains($0.node) } }

    /// The payload of a data message from `node`: its second frame, or what lies where that says.
    ///
    /// - Parameter frames: all but the routing frame: a header and the payload, or a header, a place and an empty
    ///   frame.
    /// - Returns: false when there is no such place.
    func withPayload(
        _ frames: ArraySlice<ZeroMQFrame>, from node: NodeID, _ body: (UnsafeRawBufferPointer) -> Void
    ) -> Bool {
        let frame = frames[frames.startIndex + 1]
        guard frames.count == 3 else {
            frame.withBytes(body)
            return true
        }
        guard let place = try? ShelfPlace(decoding: frame.bytes),
            let shelf = shelves.first(where: { $0.node == node })?.shelf
        else { return false }
        return shelf.take(place, body)
    }

    /// Peers that waited for room, which there is now: each is told once.
    func waiting() -> [NodeID] { shelves.filter { $0.shelf.isWaitedFor() }.map(\.node) }
}
