//! How a structure, a number, a set of flags and a constant are said in C.
//!
//! Structures are written field by field at the offsets that guest-abi asserts; what lies between is named padding, and the
//! compiler checks size and offsets again. An 8-byte field is aligned to 4 in 32-bit C and to 8 in 64-bit C; under
//! `#pragma pack(4)` both come out the same.

use bitflags::Flags;
use guest_abi::describe::{Kind, Layout};
use std::fmt::{Display, LowerHex, Write};

/// The header under construction.
pub struct Header {
    text: String,
    /// What the names of the present group's structures begin with.
    prefix: &'static str,
    /// Structures written so far: names in Rust and in C.
    structures: Vec<(&'static str, String)>,
    /// Names of Rust types that are one integer, and that integer in C.
    integers: Vec<(&'static str, &'static str)>,
}

impl Header {
    /// The head of the file.
    pub fn new() -> Self {
        let text = "/* The guest interface of xenlite. Generated from guest-abi by `cargo run -p c-header`; do not edit.\n \
                    *\n * What the structures and numbers mean is in guest-abi's documentation, under the same names.\n \
                    * Licence: MIT or Apache-2.0, as you like.\n */\n\
                    #ifndef XENLITE_H\n#define XENLITE_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n\
                    #pragma pack(push, 4)\n"
            .to_string();
        Self {
            text,
            prefix: "",
            structures: Vec::new(),
            integers: Vec::new(),
        }
    }

    /// The text, ended.
    pub fn finish(mut self) -> String {
        self.text.push_str("\n#pragma pack(pop)\n#endif\n");
        self.text
    }

    /// Begins a group, whose structures are called `xl_`, `prefix`, name.
    pub fn group(&mut self, title: &str, prefix: &'static str) {
        self.prefix = prefix;
        self.line(format_args!("\n/* ---- {title} ---- */\n"));
    }

    /// Text as it is.
    pub fn verbatim(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// `#define`s one number, in hexadecimal where it has more than two digits.
    pub fn constant<T: Display + LowerHex + Copy + TryInto<i128>>(&mut self, name: &str, value: T) {
        let is_large = value.try_into().is_ok_and(|value| value > 0xFFF);
        let suffix = if size_of::<T>() == 8 { "ull" } else { "" };
        if is_large {
            self.line(format_args!("#define XL_{name} {value:#x}{suffix}"));
        } else {
            self.line(format_args!("#define XL_{name} {value}{suffix}"));
        }
    }

    /// The named values of an open number.
    pub fn numbers<T: Display>(&mut self, prefix: &str, values: impl IntoIterator<Item = (T, &'static str)>) {
        for (value, name) in values {
            let name = upper(name);
            self.line(format_args!("#define XL_{prefix}_{name} ({value})"));
        }
    }

    /// The named bits of a set of flags.
    pub fn flags<F: Flags>(&mut self, prefix: &str)
    where
        F::Bits: LowerHex,
    {
        let suffix = if size_of::<F::Bits>() == 8 { "ull" } else { "u" };
        for flag in F::FLAGS.iter().filter(|flag| flag.is_named()) {
            let (name, bits) = (flag.name(), flag.value().bits());
            self.line(format_args!("#define XL_{prefix}_{name} {bits:#x}{suffix}"));
        }
    }

    /// A structure; one without fields is an integer of its size.
    pub fn structure<T: Layout>(&mut self) {
        let (name, size) = (T::NAME, T::SIZE);
        self.line(format_args!("\n/* {name}: {size} bytes */"));
        if T::fields().is_empty() {
            if let Some(integer) = unsigned(size) {
                self.integers.push((name, integer));
                self.line(format_args!("typedef {integer} xl_{}_t;", snake(name)));
            }
            return;
        }
        let own = snake(name);
        let prefix = if own.starts_with(self.prefix) {
            ""
        } else {
            self.prefix
        };
        let c_name = format!("struct xl_{prefix}{own}");
        let mut checks = format!("_Static_assert(sizeof({c_name}) == {size}, \"{name}\");\n");
        self.line(format_args!("{c_name} {{"));
        let mut end = 0;
        for field in T::fields() {
            self.padding(end, field.offset);
            let kind = (field.kind)();
            let declaration = self.declare(field.name, kind);
            self.line(format_args!("    {declaration};"));
            let _ = writeln!(
                checks,
                "_Static_assert(offsetof({c_name}, {}) == {}, \"{name}\");",
                field.name, field.offset
            );
            end = field.offset + kind.size;
        }
        self.padding(end, size);
        self.line(format_args!("}};"));
        self.text.push_str(&checks);
        self.structures.push((name, c_name));
    }

    fn padding(&mut self, from: usize, to: usize) {
        if from < to {
            self.line(format_args!("    uint8_t pad_at_{from}[{}];", to - from));
        }
    }

    /// A field's declaration, with the dimensions of an array behind its name.
    fn declare(&self, name: &str, kind: Kind) -> String {
        let (mut element, mut dimensions, mut size) = (kind.name, String::new(), kind.size);
        while let Some(inner) = element.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let (of, count) = inner.rsplit_once("; ").expect("an array is [T; N]");
            let count: usize = count.parse().expect("a length is a number");
            let _ = write!(dimensions, "[{count}]");
            size /= count.max(1);
            element = of;
        }
        let last = element.rsplit("::").next().expect("a path has a last part");
        let structure = self.structures.iter().rev().find(|(known, _)| *known == last);
        let c_type = if let Some((_, c_name)) = structure {
            c_name.clone()
        } else if self.integers.iter().any(|(known, _)| *known == last) {
            format!("xl_{}_t", snake(last))
        } else if let Some(signed) = signed(element) {
            signed.to_string()
        } else {
            unsigned(size)
                .unwrap_or_else(|| panic!("{name}: {element} of {size} bytes has no declaration yet"))
                .to_string()
        };
        format!("{c_type} {name}{dimensions}")
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.text.push_str(&line.to_string());
        self.text.push('\n');
    }
}

fn signed(name: &str) -> Option<&'static str> {
    Some(match name {
        "i16" | "guest_abi::grant_table::GrantStatus" => "int16_t",
        "i32" => "int32_t",
        "i64" => "int64_t",
        _ => return None,
    })
}

fn unsigned(size: usize) -> Option<&'static str> {
    Some(match size {
        1 => "uint8_t",
        2 => "uint16_t",
        4 => "uint32_t",
        8 => "uint64_t",
        _ => return None,
    })
}

/// `GetDomainInfo` as `get_domain_info`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// A name as people write it, as the end of a C constant.
fn upper(name: &str) -> String {
    name.trim_start_matches('#')
        .chars()
        .map(|letter| match letter {
            'a'..='z' => letter.to_ascii_uppercase(),
            'A'..='Z' | '0'..='9' => letter,
            _ => '_',
        })
        .collect()
}
