import StorageShell
import Terms
import Testing

@Suite struct LogTests {
    private func line(_ step: Int) -> JSONValue { .members(["current_steps": .int(step), "loss": .double(0.25)]) }

    private func text(_ disk: FaultyFileSystem) -> String { String(decoding: disk.bytes("/run/log"), as: UTF8.self) }

    private func disk(_ text: String = "") throws -> FaultyFileSystem {
        let disk = FaultyFileSystem()
        _ = try disk.makeFolder("/run")
        try disk.syncFolder("/")
        if !text.isEmpty { try disk.writeNew("/run/log", bytes: Array(text.utf8), mode: 0o644) }
        return disk
    }

    private func steps(_ text: String) -> [Int] {
        text.split(separator: "\n").compactMap { (try? JSONValue.parse(String($0)))?["current_steps"]?.int }
    }

    @Test func `a resumed run's log holds each step once`() throws {
        let disk = try disk()
        do {
            let log = try TrainerLog("/run/log", through: 0, fileSystem: disk)
            #expect(log.lastStep == nil)
            for step in 1...9 { try log.append(line(step)) }
        }

        let log = try TrainerLog("/run/log", through: 6, fileSystem: disk)
        for step in 7...8 { try log.append(line(step)) }

        #expect(log.lastStep == 6)
        #expect(steps(text(disk)) == Array(1...8))
        #expect(text(disk).hasPrefix("{\"current_steps\":1,\"loss\":0.25}\n"))
    }

    @Test func `torn, foreign and misplaced lines go, the others stay`() throws {
        let lines = [line(1).text, "garbage", line(9).text, line(2).text, "{\"note\":1}", line(3).text]
        let disk = try disk(lines.joined(separator: "\n"))

        let log = try TrainerLog("/run/log", through: 5, fileSystem: disk)
        try log.append(line(6))

        #expect(text(disk) == [lines[0], lines[3], lines[4], line(6).text].joined(separator: "\n") + "\n")
        #expect(log.lastStep == 2)
    }

    @Test func `two lines in one go, and the last line that stays says how long it took`() throws {
        let timed = "{\"current_steps\":2,\"loss\":0.25,\"elapsed_time\":7.5}"
        let torn = "{\"current_steps\":3,\"lo{\"current_steps\":4,\"loss\":0.25}"
        let disk = try disk([line(1).text, timed, torn, "{\"current_steps\":}", ""].joined(separator: "\n"))

        do {
            let log = try TrainerLog("/run/log", through: 5, fileSystem: disk)
            #expect(steps(text(disk)) == [1, 2] && log.lastStep == 2 && log.lastElapsed == 7.5)
        }

        #expect(try TrainerLog("/run/log", through: 1, fileSystem: disk).lastElapsed == 0)
    }

    @Test func `a line is on the disk whole or not at all when the disk is full`() throws {
        let disk = try disk()
        let log = try TrainerLog("/run/log", through: 0, fileSystem: disk)
        try log.append(line(1))
        disk.plan(.fail(.noSpace), at: 1)

        let error = #expect(throws: StorageError.self) { try log.append(line(2)) }
        try log.append(line(3))

        #expect(error?.isTransient == true)
        #expect(steps(text(disk)) == [1, 3])
    }

    @Test func `what was synced survives a power cut`() throws {
        let disk = try disk()
        let log = try TrainerLog("/run/log", through: 0, fileSystem: disk)
        try log.append(line(1))
        try log.sync()
        try log.append(line(2))

        disk.cutPower(.torn)

        let again = try TrainerLog("/run/log", through: 9, fileSystem: disk)
        #expect(again.lastStep == 1)
        withExtendedLifetime(log) {}
    }
}
