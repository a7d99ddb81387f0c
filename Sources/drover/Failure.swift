import ArgumentParser
import Budgeting
import Checkpoints
import CoordinatorShell
import Datasets
import Glibc
import JobSpecs
import ModelFiles
import Models
import StorageShell
import Templates
import Terms
import Tokenization
import ZeroMQShell

/// What a command itself finds wrong, and the one place where any error becomes text and an exit code:
/// 0 done, 1 failed, 2 usage or bad input.
enum Failure: Error, Equatable, CustomStringConvertible {
    /// The user has to change something, one sentence a fault: exit code 2.
    case input([String])
    /// The world failed: exit code 1.
    case failed(String)
    /// A job ended in a state that has an exit code of its own; everything has been said already.
    case ended(code: Int32)

    /// The user has to change one thing: exit code 2.
    static func input(_ sentence: String) -> Failure { .input([sentence]) }

    var description: String {
        switch self {
        case .input(let sentences): sentences.joined(separator: "\n")
        case .failed(let sentence): sentence
        case .ended: ""
        }
    }

    /// Parses the command line, runs the command, ends the process.
    static func run(_ root: any ParsableCommand.Type) -> Never {
        // A reader that goes away is an error of the write, not the end of the job.
        signal(SIGPIPE, SIG_IGN)
        var command: any ParsableCommand
        do { command = try root.parseAsRoot() } catch { end(parsing: root, error) }
        do { try command.run() } catch { end(root, error) }
        guard let failure = Output.failure else { exit(0) }
        if failure != EPIPE {
            Output.note("drover: can't write to standard output: \(String(cString: strerror(failure)))")
        }
        exit(1)
    }

    /// Ends the process as `error` demands, which a command threw while it ran.
    private static func end(_ root: any ParsableCommand.Type, _ error: any Error) -> Never {
        if let code = error as? ExitCode { exit(code.rawValue) }
        if case .ended(let code)? = error as? Failure { exit(code) }
        // Help, version and faults of arguments have types that the parser keeps to itself.
        if String(reflecting: type(of: error)).hasPrefix("ArgumentParser.") { end(parsing: root, error) }
        Output.note("drover: " + sentence(error))
        exit(exitCode(error))
    }

    /// Ends the process with what the command-line parser has to say: help, version or a fault.
    private static func end(parsing root: any ParsableCommand.Type, _ error: any Error) -> Never {
        let message = root.fullMessage(for: error)
        guard root.exitCode(for: error) != .success else {
            if !message.isEmpty { Output.line(message) }
            exit(0)
        }
        let error = "Error: "
        Output.note("drover: " + (message.hasPrefix(error) ? String(message.dropFirst(error.count)) : message))
        exit(2)
    }

    /// What is told about an error, without the name of the program.
    static func sentence(_ error: any Error) -> String {
        if error is CancellationError { return "interrupted" }
        return "\(error)"
    }

    /// 2 when the user has to change something, 130 when interrupted, else 1.
    static func exitCode(_ error: any Error) -> Int32 {
        if error is CancellationError { return 130 }
        return isBadInput(error) ? 2 : 1
    }

    private static func isBadInput(_ error: any Error) -> Bool {
        switch error {
        case Failure.input: return true
        case is SpecIssues, is ModelError, is TokenizationError, is TemplateError, is JSONError: return true
        case let error as ModelFileError:
            guard case .system(_, let operation, let code) = error else { return true }
            return isBadInput(code, isWriting: operation == "write")
        case let error as DatasetError:
            if case .unwritable = error { return false }
            return true
        case let error as StorageError:
            switch error {
            case .file(let error): return isBadInput(error)
            case .unknownFormat, .noSuchCheckpoint: return true
            default: return false
            }
        case let error as FileError: return isBadInput(error)
        case let error as ZeroMQError: return [EADDRINUSE, EADDRNOTAVAIL, ENODEV, EACCES, EINVAL].contains(error.code)
        case is SecretFileError, is CheckpointInquiry.Fault: return true
        default: return false
        }
    }

    private static func isBadInput(_ error: FileError) -> Bool {
        switch error {
        case .missing, .exists, .notRegular, .tooLarge: true
        case .noSpace, .locked: false
        case .failed(_, _, let code): isBadInput(code, isWriting: false)
        }
    }

    /// Whether an errno tells of a wrong path rather than of a broken machine.
    private static func isBadInput(_ code: Int32, isWriting: Bool) -> Bool {
        switch code {
        case ENOENT, ENOTDIR, EISDIR, ENAMETOOLONG, ELOOP, EEXIST, ENOTEMPTY: true
        case EACCES, EPERM, EROFS: !isWriting
        default: false
        }
    }
}
