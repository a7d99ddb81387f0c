import ArgumentParser
struct Train: ParsableCommand { mutating func run() {} }
struct Resume: ParsableCommand { mutating func run() {} }
struct CoordinatorCommand: ParsableCommand { mutating func run() {} }
struct Worker: ParsableCommand { mutating func run() {} }
