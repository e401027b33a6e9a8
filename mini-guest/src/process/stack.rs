//! What a program finds on its stack when it begins: arguments, environment, auxiliary vector, strings.
//!
//! ```text
//! ESP → argc, argv[0] … argv[argc-1], 0, envp[0] …, 0, pairs of the auxiliary vector …, 0, 0, strings, random bytes, path
//! ```

use alloc::vec::Vec;

use super::elf::{Image, PROGRAM_HEADER};
use crate::linux::Errno;
use crate::linux::process::{MAX_ARGUMENT_BYTES, aux};
use crate::linux::time::TICKS_PER_SEC;

/// Arguments and environment of a program, each string without its NUL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// `argv`.
    pub arguments: Vec<Vec<u8>>,
    /// `envp`.
    pub environment: Vec<Vec<u8>>,
}

/// The bytes of a stack, and where they belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialStack {
    /// The address of the first byte, which is also ESP.
    pub esp: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Arguments {
    /// Bytes of all strings with their NULs and pointers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.arguments
            .iter()
            .chain(&self.environment)
            .map(|string| string.len() + 5)
            .sum()
    }

    /// The arguments as `/proc` shows them, each with its NUL.
    #[must_use]
    pub fn command_line(&self) -> Vec<u8> {
        let mut line = Vec::new();
        for argument in &self.arguments {
            line.extend_from_slice(argument);
            line.push(0);
        }
        line
    }
}

/// Lays out the stack that ends at `top`.
///
/// # Errors
/// E2BIG.
pub fn build(
    top: u32,
    arguments: &Arguments,
    path: &[u8],
    image: &Image,
    random: &[u8; 16],
    hwcap: u32,
) -> Result<InitialStack, Errno> {
    if arguments.bytes() > MAX_ARGUMENT_BYTES {
        return Err(Errno::E2BIG);
    }
    // The strings lie above the words; their addresses are known once their length is.
    let mut strings = Vec::with_capacity(arguments.bytes() + path.len() + 32);
    let mut push = |string: &[u8], end: &[u8]| {
        let at = strings.len();
        strings.extend_from_slice(string);
        strings.extend_from_slice(end);
        at as u32
    };
    let argv: Vec<u32> = arguments
        .arguments
        .iter()
        .map(|string| push(string, &[0]))
        .collect();
    let envp: Vec<u32> = arguments
        .environment
        .iter()
        .map(|string| push(string, &[0]))
        .collect();
    let random_at = push(random, &[]);
    let path_at = push(path, &[0]);
    let base = (top - strings.len() as u32) & !15;

    let mut words = Vec::new();
    words.push(argv.len() as u32);
    words.extend(argv.iter().map(|at| base + at));
    words.push(0);
    words.extend(envp.iter().map(|at| base + at));
    words.push(0);
    for (kind, value) in [
        (aux::HWCAP, hwcap),
        (aux::PAGESZ, 4096),
        (aux::CLKTCK, TICKS_PER_SEC as u32),
        (aux::PHDR, image.headers_at),
        (aux::PHENT, PROGRAM_HEADER),
        (aux::PHNUM, image.header_count),
        (aux::ENTRY, image.entry),
        (aux::UID, 0),
        (aux::EUID, 0),
        (aux::GID, 0),
        (aux::EGID, 0),
        (aux::SECURE, 0),
        (aux::RANDOM, base + random_at),
        (aux::EXECFN, base + path_at),
        (aux::NULL, 0),
    ] {
        words.extend([kind, value]);
    }
    let esp = (base - words.len() as u32 * 4) & !15;
    let mut bytes = Vec::with_capacity((top - esp) as usize);
    words
        .iter()
        .for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    bytes.resize((base - esp) as usize, 0);
    bytes.extend_from_slice(&strings);
    Ok(InitialStack { esp, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::word;
    use arrayvec::ArrayVec;

    const TOP: u32 = 0xBFFF_F000;

    fn image() -> Image {
        Image {
            entry: 0x1234,
            segments: ArrayVec::new(),
            headers_at: 0x34,
            header_count: 3,
            brk: 0,
        }
    }

    fn arguments(argv: &[&[u8]], envp: &[&[u8]]) -> Arguments {
        let owned = |list: &[&[u8]]| list.iter().map(|string| string.to_vec()).collect();
        Arguments {
            arguments: owned(argv),
            environment: owned(envp),
        }
    }

    fn string_at(stack: &InitialStack, address: u32) -> &[u8] {
        let at = (address - stack.esp) as usize;
        stack.bytes[at..].split(|byte| *byte == 0).next().unwrap()
    }

    #[test]
    fn everything_is_where_a_c_library_looks() {
        let given = arguments(&[b"ls", b"-l"], &[b"PATH=/bin"]);
        let stack = build(TOP, &given, b"/bin/ls", &image(), &[7; 16], 0xABC).unwrap();
        assert_eq!(stack.esp % 16, 0);
        assert!(stack.esp + stack.bytes.len() as u32 <= TOP);
        assert_eq!(word(&stack.bytes, 0), 2);
        assert_eq!(string_at(&stack, word(&stack.bytes, 4)), b"ls");
        assert_eq!(string_at(&stack, word(&stack.bytes, 8)), b"-l");
        assert_eq!(word(&stack.bytes, 12), 0);
        assert_eq!(string_at(&stack, word(&stack.bytes, 16)), b"PATH=/bin");
        assert_eq!(word(&stack.bytes, 20), 0);
        let pairs: Vec<_> = (24..)
            .step_by(8)
            .map(|at| (word(&stack.bytes, at), word(&stack.bytes, at + 4)))
            .take(15)
            .collect();
        let value = |kind| pairs.iter().find(|pair| pair.0 == kind).unwrap().1;
        assert_eq!(
            (value(aux::PHDR), value(aux::PHNUM), value(aux::ENTRY)),
            (0x34, 3, 0x1234)
        );
        assert_eq!(value(aux::HWCAP), 0xABC);
        let random = (value(aux::RANDOM) - stack.esp) as usize;
        assert_eq!(&stack.bytes[random..random + 16], &[7; 16]);
        assert_eq!(string_at(&stack, value(aux::EXECFN)), b"/bin/ls");
        assert_eq!(pairs.last(), Some(&(aux::NULL, 0)));
        assert!(
            !pairs.iter().any(|pair| [32, 33].contains(&pair.0)),
            "there is no vDSO"
        );
    }

    #[test]
    fn any_length_keeps_the_alignment() {
        for len in 0..40 {
            let name = vec![b'x'; len];
            let stack = build(TOP, &arguments(&[&name], &[]), b"/", &image(), &[0; 16], 0).unwrap();
            assert_eq!(stack.esp % 16, 0);
        }
    }

    #[test]
    fn too_many_arguments_are_refused() {
        let long = vec![b'x'; MAX_ARGUMENT_BYTES];
        let refused = build(TOP, &arguments(&[&long], &[]), b"/", &image(), &[0; 16], 0);
        assert_eq!(refused, Err(Errno::E2BIG));
    }
}
