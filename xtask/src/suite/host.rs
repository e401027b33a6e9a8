//! How many host tests a plain `cargo test` runs.

use anyhow::{Context, Result, ensure};
use std::process::Command;

/// The sum and the numbers by package, such as `74 (guest-abi 12, hv-core 62)`.
///
/// The test programs are there already when this is asked, so cargo only names them, and each lists its own tests.
///
/// # Errors
/// When cargo or a test program does not answer.
pub fn count() -> Result<String> {
    let output = crate::check::host_cargo()
        .args(["test", "--no-run", "--message-format=json"])
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo test --no-run failed");
    let mut numbers = Vec::new();
    for (package, program) in programs(&String::from_utf8_lossy(&output.stdout)) {
        let listed = Command::new(&program)
            .arg("--list")
            .output()
            .with_context(|| format!("cannot run {program}"))?;
        let count = String::from_utf8_lossy(&listed.stdout)
            .lines()
            .filter(|line| line.ends_with(": test"))
            .count();
        match numbers.iter_mut().find(|(name, _)| *name == package) {
            Some((_, sum)) => *sum += count,
            None => numbers.push((package, count)),
        }
    }
    Ok(summary(&numbers))
}

fn summary(numbers: &[(String, usize)]) -> String {
    let sum: usize = numbers.iter().map(|(_, count)| count).sum();
    let each: Vec<String> = numbers
        .iter()
        .map(|(package, count)| format!("{package} {count}"))
        .collect();
    format!("{sum} ({})", each.join(", "))
}

/// Package and path of each test program but the emulator tests' own.
fn programs(messages: &str) -> Vec<(String, String)> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["profile"]["test"] == true && message["target"]["name"] != "emulator")
        .filter_map(|message| {
            let manifest = std::path::Path::new(message["manifest_path"].as_str()?).parent()?;
            let package = message["package_id"]
                .as_str()
                .and_then(package_name)
                .map(str::to_string);
            let package = package.or_else(|| Some(manifest.file_name()?.to_str()?.to_string()))?;
            Some((package, message["executable"].as_str()?.to_string()))
        })
        .collect()
}

/// The name in an identity such as `path+file:///p/xtask#0.1.0` or `path+file:///p/core#hv-core@0.1.0`.
fn package_name(id: &str) -> Option<&str> {
    let (path, rest) = id.rsplit_once('#')?;
    match rest.split_once('@') {
        Some((name, _)) => Some(name),
        None => path.rsplit('/').next(),
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn packages_are_named_by_their_identities() {
        assert_eq!(package_name("path+file:///p/xtask#0.1.0"), Some("xtask"));
        assert_eq!(
            package_name("path+file:///p/hypervisor/core#hv-core@0.1.0"),
            Some("hv-core")
        );
    }

    #[test]
    fn only_test_programs_are_counted() {
        let messages = concat!(
            r#"{"package_id":"path+file:///p/a#0.1.0","manifest_path":"/p/a/Cargo.toml","target":{"name":"a"},"profile":{"test":true},"executable":"/t/a"}"#,
            "\n",
            r#"{"package_id":"path+file:///p/a#0.1.0","manifest_path":"/p/a/Cargo.toml","target":{"name":"a"},"profile":{"test":false},"executable":"/t/b"}"#,
            "\n",
            r#"{"package_id":"path+file:///p/x#0.1.0","manifest_path":"/p/x/Cargo.toml","target":{"name":"emulator"},"profile":{"test":true},"executable":"/t/e"}"#,
        );
        assert_eq!(programs(messages), [("a".to_string(), "/t/a".to_string())]);
        assert_eq!(summary(&[("a".into(), 2), ("b".into(), 3)]), "5 (a 2, b 3)");
    }
}
