import Testing

@testable import Tokenization

@Suite struct UnicodeTests {
    static func composed(_ text: String) -> [UInt32] {
        String(decoding: Normalizer(steps: [.canonicalComposition]).normalized(Array(text.utf8)), as: UTF8.self)
            .unicodeScalars.map(\.value)
    }

    @Test(
        arguments: [
            // A pair composes; a mark of the same class blocks; marks are put in order first.
            ("e\u{301}", [0xE9]), ("e\u{301}\u{301}", [0xE9, 0x301]), ("q\u{307}\u{323}", [0x71, 0x323, 0x307]),
            ("a\u{302}\u{323}", [0x1EAD]), ("a\u{327}\u{301}", [0xE1, 0x327]),
            // Singletons are replaced, excluded composites fall apart.
            ("\u{212B}\u{2126}", [0xC5, 0x3A9]), ("\u{958}", [0x915, 0x93C]), ("\u{F900}", [0x8C48]),
            ("\u{344}", [0x308, 0x301]),
            // Hangul by arithmetic, also a syllable with a trailing consonant; no third consonant.
            ("\u{1112}\u{1161}\u{11AB}", [0xD55C]), ("\u{D558}\u{11AB}", [0xD55C]),
            ("\u{D55C}\u{11AB}", [0xD55C, 0x11AB]),
            ("\u{1100}\u{1161}\u{11A7}", [0xAC00, 0x11A7]),
            // A mark at the start has nothing to join.
            ("\u{301}e", [0x301, 0x65]), ("", []),
            // A mark younger than the data of the reference stays where it is.
            ("\u{897}\u{323}", [0x897, 0x323]),
        ] as [(String, [UInt32])])
    func `NFC composes as the reference does`(text: String, expected: [UInt32]) {
        #expect(Self.composed(text) == expected)
    }

    @Test func `text that is NFC already is not copied`() {
        for text in ["plain ascii", "é中文 한국어 ☃ 👩‍🌾", "Tiếng Việt"] {
            var text = text
            text.withUTF8 { utf8 in
                let view = UTF8Text(utf8.baseAddress!, count: utf8.count)
                Normalizer(steps: [.canonicalComposition]).withNormalized(view) { #expect($0.bytes == view.bytes) }
            }
        }
    }

    @Test(arguments: [
        (UInt32(0x41), CategorySet.uppercase), (0x61, .lowercase), (0x1C5, .titlecase), (0x2B0, .modifierLetters),
        (0x4E00, .otherLetters), (0x9FFF, .otherLetters), (0x301, .marks), (0xFF11, .numbers), (0x2167, .numbers),
        (0xB2, .numbers), (0x5F, .connectors), (0x3002, .punctuation), (0x20AC, .symbols), (0x1F411, .symbols),
        (0x105C9, .uppercase.union(.lowercase).union(.otherLetters)), (0x323AF, .otherLetters),
    ])
    func `general categories are those of Unicode 16`(scalar: UInt32, expected: CategorySet) {
        #expect(expected.contains(UnicodeProperties.shared.category(of: scalar)))
    }

    @Test func `white space is White_Space and nothing else`() {
        let found = (0..<UInt32(0x110000)).filter {
            UnicodeProperties.shared.of($0) & UnicodeProperties.whiteSpace != 0
        }

        #expect(found.count == 25)
        for other: UInt32 in [0x200B, 0x180E, 0x1C, 0x1F, 0xFEFF, 0x2060] { #expect(!found.contains(other)) }
    }
}
