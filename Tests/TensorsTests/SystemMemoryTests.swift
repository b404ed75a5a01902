import FoundationEssentials
import Testing

@testable import Tensors

/// What the system says about its memory.
@Suite
struct SystemMemoryTests {
    /// Writes files below a folder of their own, asks, and removes them.
    private func available(_ files: [String: String]) throws -> Int? {
        let root = FileManager.default.temporaryDirectory.path + "/memory-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: root) }
        for (name, text) in files {
            let path = "\(root)/\(name)"
            let folder = String(path[..<(try #require(path.lastIndex(of: "/")))])
            try FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true
            )
            try Data(text.utf8).write(to: URL(filePath: path))
        }
        return SystemMemory.available(root: root)
    }

    private let meminfo = """
        MemTotal:       1000 kB
        MemFree:          10 kB
        MemAvailable:    600 kB
        SwapFree:        100 kB
        """

    @Test("without files nobody says")
    func nothing() throws {
        #expect(try available([:]) == nil)
        #expect(try available(["proc/meminfo": "MemTotal: 7 kB\n"]) == nil)
    }

    @Test("the machine has what is available and its free swap")
    func machine() throws {
        #expect(try available(["proc/meminfo": meminfo]) == 700 << 10)
    }

    @Test("a group's limit and its parents' count, without the pages of files")
    func groups() throws {
        var files = [
            "proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/memory.max": "500000\n", "sys/fs/cgroup/a/memory.current": "300000\n",
            "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/b/memory.current": "7\n",
        ]
        #expect(try available(files) == 200_000)
        files["sys/fs/cgroup/a/memory.stat"] = "anon 100\nactive_file 40000\ninactive_file 60000\n"
        #expect(try available(files) == 300_000)
        files["sys/fs/cgroup/a/b/memory.max"] = "1000\n"
        #expect(try available(files) == 993)
        files["sys/fs/cgroup/a/b/memory.current"] = "2000\n"
        #expect(try available(files) == 0)
    }

    @Test("the older kind of groups counts too")
    func olderGroups() throws {
        let files = [
            "proc/meminfo": meminfo, "proc/self/cgroup": "5:cpu,memory:/x\n4:cpuset:/y\n",
            "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "9000\n",
            "sys/fs/cgroup/memory/x/memory.usage_in_bytes": "8000\n",
        ]
        #expect(try available(files) == 1000)
    }

    @Test("this machine says something")
    func here() throws {
        #expect(try #require(SystemMemory.available) > 1 << 20)
    }
}
