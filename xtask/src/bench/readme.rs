//! The places of the cost tables in README.md, and whether what stands there is what was measured.

/// What stands before and after a table in README.md.
pub type Marks = [&'static str; 2];
/// Around the table of operations.
pub const OPERATIONS: Marks = ["<!-- bench -->", "<!-- /bench -->"];
/// Around the table of costs by the number of domains.
pub const CROWDS: Marks = ["<!-- bench domains -->", "<!-- /bench domains -->"];
/// Around the table of costs of a disk.
pub const DISK: Marks = ["<!-- bench disk -->", "<!-- /bench disk -->"];
/// Around the table of costs of packets.
pub const PACKETS: Marks = ["<!-- bench net -->", "<!-- /bench net -->"];

/// The table in a text with the marks.
pub fn in_text(text: &str, marks: Marks) -> Option<&str> {
    let (_, rest) = text.split_once(marks[0])?;
    Some(rest.split_once(marks[1])?.0.trim())
}

/// The text with another table.
pub fn replaced(text: &str, marks: Marks, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(marks[0])?;
    let (_, after) = rest.split_once(marks[1])?;
    Some(format!(
        "{before}{}\n{}\n{}{after}",
        marks[0],
        table.trim_end(),
        marks[1]
    ))
}

/// The lines of both tables that differ, if any do.
pub fn difference(readme: &str, measured: &str) -> Option<String> {
    let (old, new): (Vec<&str>, Vec<&str>) =
        (readme.trim().lines().collect(), measured.trim().lines().collect());
    let only = |of: &[&str], other: &[&str], mark: &str| -> String {
        of.iter()
            .filter(|line| !other.contains(line))
            .map(|line| format!("{mark} {line}\n"))
            .collect()
    };
    (old != new).then(|| only(&old, &new, "README:  ") + &only(&new, &old, "measured:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_found_and_replaced_between_its_marks() {
        let text = format!("# X\n{}\nold\n{}\nrest\n", OPERATIONS[0], OPERATIONS[1]);
        assert_eq!(in_text(&text, OPERATIONS), Some("old"));
        let new = replaced(&text, OPERATIONS, "a\nb\n").unwrap();
        assert_eq!(
            new,
            format!("# X\n{}\na\nb\n{}\nrest\n", OPERATIONS[0], OPERATIONS[1])
        );
        assert_eq!(in_text(&new, OPERATIONS), Some("a\nb"));
        assert_eq!(in_text("no marks", OPERATIONS), None);
        assert_eq!(difference("a\nb", "a\nb\n"), None);
        assert_eq!(difference("a\nb", "a\nc").unwrap(), "README:   b\nmeasured: c\n");
    }
}
