//! The language of the mini-guest's shell, without a single system call, so that the host can test it.
//!
//! It is a small part of the POSIX shell's: words with quotes, backslashes and `$` parameters, pipelines, redirections,
//! `&&`, `||`, `;`, `&`, `!`, comments, and the wildcards `*`, `?` and `[…]`. Not in it: `if`, `for`, functions,
//! command substitution and here-documents; a line that uses one of them gets an error that names it.
//!
//! | module | from | to |
//! |---|---|---|
//! | [`edit`] | typed bytes | a line, and what to show meanwhile |
//! | [`token`] | a line | words and operators |
//! | [`parse`] | words and operators | a [`parse::List`] of pipelines |
//! | [`expand`] | a word and the values of parameters | fields |
//! | [`pattern`] | a field with wildcards, a file name | whether they match |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod edit;
pub mod expand;
pub mod parse;
pub mod pattern;
pub mod token;
