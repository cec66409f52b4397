//! Is a file a program for the system that it was linked for? By its first bytes (`mach-o/loader.h`
//! and `mach/machine.h` of macOS; elf(5)).

use std::fmt;

/// What a program is for a system and a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    MachOArm64,
    MachOX86,
    ElfFreeBsd,
}

/// `MH_MAGIC_64` as a little-endian machine writes it.
const MACH_O: [u8; 4] = 0xfeed_facf_u32.to_le_bytes();
const CPU_TYPE_ARM64: u32 = 0x0100_000c;
const CPU_TYPE_X86_64: u32 = 0x0100_0007;
const MH_EXECUTE: u32 = 2;
/// 64 bits, little-endian, version 1.
const ELF: [u8; 7] = *b"\x7fELF\x02\x01\x01";
const EM_X86_64: u16 = 62;
/// With or without a fixed address.
const ET: [u16; 2] = [2, 3];
/// The program that starts one on FreeBSD; Linux names another.
const INTERPRETER: &[u8] = b"/libexec/ld-elf.so.1\0";

impl Format {
    /// Whether `image`, the whole file, is such a program.
    pub(super) fn matches(self, image: &[u8]) -> bool {
        match self {
            Format::MachOArm64 => is_mach_o(image, CPU_TYPE_ARM64),
            Format::MachOX86 => is_mach_o(image, CPU_TYPE_X86_64),
            Format::ElfFreeBsd => {
                image.starts_with(&ELF)
                    && number(image, 16).is_some_and(|kind| ET.contains(&u16::from_le_bytes(kind)))
                    && number(image, 18) == Some(EM_X86_64.to_le_bytes())
                    && image.windows(INTERPRETER.len()).any(|part| part == INTERPRETER)
            }
        }
    }
}

fn is_mach_o(image: &[u8], processor: u32) -> bool {
    image.starts_with(&MACH_O)
        && number(image, 4) == Some(processor.to_le_bytes())
        && number(image, 12) == Some(MH_EXECUTE.to_le_bytes())
}

fn number<const BYTES: usize>(image: &[u8], at: usize) -> Option<[u8; BYTES]> {
    image.get(at..at + BYTES)?.try_into().ok()
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::MachOArm64 => "Mach-O, arm64",
            Format::MachOX86 => "Mach-O, x86-64",
            Format::ElfFreeBsd => "ELF for FreeBSD, x86-64",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Format; 3] = [Format::MachOArm64, Format::MachOX86, Format::ElfFreeBsd];

    /// The formats that an image has.
    fn formats(image: &[u8]) -> Vec<Format> {
        ALL.into_iter().filter(|format| format.matches(image)).collect()
    }

    fn mach_o(processor: u32, kind: u32) -> Vec<u8> {
        [0xfeed_facf, processor, 0, kind].iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn elf(machine: u8, interpreter: &[u8]) -> Vec<u8> {
        let head = [b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".as_slice(), &[machine, 0]];
        [head.concat().as_slice(), interpreter, b"\0"].concat()
    }

    #[test]
    fn a_program_is_told_by_its_processor() {
        assert_eq!(formats(&mach_o(0x0100_000c, 2)), [Format::MachOArm64]);
        assert_eq!(formats(&mach_o(0x0100_0007, 2)), [Format::MachOX86]);
        assert_eq!(formats(&elf(62, b"/libexec/ld-elf.so.1")), [Format::ElfFreeBsd]);
    }

    #[test]
    fn what_is_no_program_for_there_is_refused() {
        let library = mach_o(0x0100_0007, 6);
        let arm = elf(183, b"/libexec/ld-elf.so.1");
        let linux = elf(62, b"/lib64/ld-linux-x86-64.so.2");
        let cut = &mach_o(0x0100_0007, 2)[..14];
        for image in [&library[..], &arm, &linux, cut, b"#!/bin/sh", b""] {
            assert_eq!(formats(image), [], "{image:?}");
        }
    }

    #[test]
    fn this_program_is_for_none_of_them() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(formats(&own[..4096]), []);
    }
}
