//! What a program file says of itself: which processors it is for, and whether it needs anything of the system it runs
//! on. Enough of the ELF format to answer these two, and no more.

/// A 64-bit little-endian ELF program, as its headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// Architecture as images name it: `amd64`, `arm64`.
    pub architecture: &'static str,
    /// It asks for no dynamic loader: it runs in an image that holds nothing else.
    pub is_static: bool,
}

impl Program {
    /// Bytes of a file's start that hold the headers of every program a linker makes.
    pub const HEADERS: usize = 64 * 1024;

    /// Reads the headers; None for what is no program of a kind known here, or is cut short.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        const INTERPRETER: usize = 3;
        if !bytes.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let architecture = match number(bytes, 0x12, 2)? {
            62 => "amd64",
            183 => "arm64",
            _ => return None,
        };
        let (start, size, count) =
            (number(bytes, 0x20, 8)?, number(bytes, 0x36, 2)?, number(bytes, 0x38, 2)?);
        let mut is_static = true;
        for index in 0..count {
            let at = start.checked_add(index.checked_mul(size)?)?;
            is_static &= number(bytes, at, 4)? != INTERPRETER;
        }
        Some(Self { architecture, is_static })
    }
}

/// A number of `length` bytes, the lowest first.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    bytes.iter().rev().try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers alone: a machine, and program headers of these kinds.
    fn program(machine: u8, kinds: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (bytes[0x12], bytes[0x20], bytes[0x36]) = (machine, 64, 56);
        bytes[0x38] = u8::try_from(kinds.len()).unwrap();
        for kind in kinds {
            let mut header = vec![0; 56];
            header[0] = *kind;
            bytes.extend(header);
        }
        bytes
    }

    #[test]
    fn the_headers_say_what_it_is_for() {
        assert_eq!(
            Program::read(&program(62, &[1, 6])),
            Some(Program { architecture: "amd64", is_static: true })
        );
        assert_eq!(
            Program::read(&program(183, &[1, 3])),
            Some(Program { architecture: "arm64", is_static: false })
        );
        assert_eq!(Program::read(&program(62, &[])).map(|program| program.is_static), Some(true));
    }

    #[test]
    fn what_is_no_program_is_none() {
        assert_eq!(Program::read(b""), None);
        assert_eq!(Program::read(b"#!/bin/sh\n"), None);
        assert_eq!(Program::read(&program(3, &[])), None, "32-bit x86");
        let whole = program(62, &[1, 1]);
        for length in 6..whole.len() - 52 {
            assert_eq!(Program::read(&whole[..length]), None, "cut at {length}");
        }
        let mut far = program(62, &[1]);
        far[0x20..0x28].fill(0xff);
        assert_eq!(Program::read(&far), None, "a table beyond the end of numbers");
    }

    #[test]
    fn this_test_is_a_program_for_this_machine() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let here = Program::read(&bytes).unwrap();
        let expected = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        assert_eq!(here.architecture, expected);
        assert_eq!(Program::read(&bytes[..Program::HEADERS]), Some(here));
    }
}
