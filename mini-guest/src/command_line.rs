//! Options of the kernel's command line: words `NAME=VALUE` before `--`, after which come the first program and its arguments.

/// The value of an option, `name` with its `=`.
#[must_use]
pub fn option<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut words = line.split(|byte| *byte == b' ').take_while(|word| *word != b"--");
    words.find_map(|word| word.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_counts_and_a_programs_arguments_do_not() {
        let line = b"quiet ip=1 ip=2 -- /bin/sh init=3";
        assert_eq!(option(line, b"ip="), Some(&b"1"[..]));
        assert_eq!(option(line, b"init="), None);
        assert_eq!(option(b"", b"ip="), None);
    }
}
