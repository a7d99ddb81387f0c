import Terms

extension TokenDecoder {
    /// Reads the member `decoder` of tokenizer.json; null joins tokens by spaces.
    init(file value: JSONValue?) throws(TokenizationError) {
        guard let value, !value.isNull else {
            self = .joinedBySpaces
            return
        }
        let component = try Component(value, path: "decoder")
        switch try component.type {
        case "ByteLevel":
            try component.allow("add_prefix_space", "trim_offsets", "use_regex")
            self = .byteLevel
        case "Metaspace":
            try component.allow("replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep")
            guard try component.string("replacement") == "\u{2581}" else {
                throw component.unsupported("the replacement")
            }
            let never = component.object["prepend_scheme"]?.string == "never"
            let addsPrefix = try component.bool("add_prefix_space", absent: true)
            self = .metaspace(keepsFirst: never || !addsPrefix)
        case "Sequence":
            try component.allow("decoders")
            self = try Self.sequence(component.components("decoders"))
        default:
            self = try Self.sequence([component])
        }
    }

    /// Replace…, ByteFallback, Fuse, Strip: each optional, in this order.
    private static func sequence(_ parts: [Component]) throws(TokenizationError) -> TokenDecoder {
        if parts.count == 1, try parts[0].type == "ByteLevel" { return .byteLevel }
        var decoding = CharacterDecoding()
        var stage = 0
        var isFused = false
        for part in parts {
            let type = try part.type
            guard let own = ["Replace", "ByteFallback", "Fuse", "Strip"].firstIndex(of: type), own >= stage else {
                throw part.unsupported("the decoder `\(type)` at this place")
            }
            stage = type == "Replace" ? own : own + 1
            switch type {
            case "Replace": decoding.replacements.append(try part.replacement())
            case "ByteFallback":
                try part.allow()
                decoding.byteFallback = true
            case "Fuse":
                try part.allow()
                isFused = true
            default:
                try part.allow("content", "start", "stop")
                // Without Fuse every token would be stripped by itself.
                guard isFused else { throw part.unsupported("Strip without Fuse") }
                guard try part.natural("stop") == 0 else { throw part.unsupported("the member `stop`") }
                decoding.strip = Array(try part.string("content").utf8)
                decoding.stripLimit = decoding.strip.isEmpty ? 0 : try part.natural("start")
            }
        }
        return .characters(decoding)
    }
}
