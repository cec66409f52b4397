//! An initramfs: a cpio archive of the "newc" kind, which the kernel unpacks into its first file
//! system. Documentation/driver-api/early-userspace/buffer-format.rst in Linux says how it looks.

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_755;

#[derive(Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// A folder; the ones it is in come first.
    pub(super) fn folder(&mut self, path: &str) {
        self.entry(path, FOLDER, &[]);
    }

    /// A file that can be read and executed.
    pub(super) fn file(&mut self, path: &str, contents: &[u8]) {
        self.entry(path, FILE, contents);
    }

    /// The archive, closed.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, contents: &[u8]) {
        assert!(!path.starts_with('/'), "paths start at the root");
        self.entries += 1;
        let len = u32::try_from(contents.len()).expect("a file is below 4 GiB");
        let path_len = u32::try_from(path.len()).expect("a path is short") + 1;
        // Number, mode, user, group, links, time, length, four numbers of devices, the path's
        // length, checksum.
        let fields = [self.entries, mode, 0, 0, 1, 0, len, 0, 0, 0, 0, path_len, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(path.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(contents);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod self_tests {
    use super::*;

    #[test]
    fn entries_are_as_the_kernel_reads_them() {
        let mut archive = Archive::default();
        archive.folder("bin");
        archive.file("bin/a", b"text!");
        let bytes = archive.finish();
        let zeros = |count: usize| "0".repeat(count);
        let folder = format!("070701{:08x}{:08x}{}00000001", 1, FOLDER, zeros(16));
        assert!(bytes.starts_with(folder.as_bytes()));
        // A header has 110 bytes; "bin" ends at 114, which 2 bytes make a multiple of 4.
        let file = &bytes[116..];
        assert!(file.starts_with(b"07070100000002"));
        assert_eq!(&file[54..62], b"00000005");
        assert_eq!(&file[110..116], b"bin/a\0");
        assert_eq!(&file[116..124], b"text!\0\0\0");
        assert_eq!(&file[124 + 110..124 + 121], b"TRAILER!!!\0");
        assert_eq!(bytes.len() % 4, 0);
    }
}
