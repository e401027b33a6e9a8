//! What is booted: the hypervisor, its arguments, and the boot modules, from the user's options and the default build.
//!
//! The first module is Domain0's kernel, the second its initial file system, the others are for domains that Domain0 builds.

use crate::build;
use crate::cli::Content;
use crate::initrd;
use crate::symbols::Images;
use anyhow::{Context, Result, bail, ensure};
use std::io::Read;
use std::path::{Path, PathBuf};

/// One boot module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// What it is called in the boot image: `dom0`, `initrd`, `module2` …
    pub name: String,
    /// Its file.
    pub file: PathBuf,
    /// Its command line; of a module for other domains the first word is the file's name, which Domain0 knows it by.
    pub args: String,
}

/// Everything that a boot loader needs.
#[derive(Debug, Clone)]
pub struct BootImage {
    /// The hypervisor's 64-bit ELF file.
    pub hypervisor: PathBuf,
    /// The hypervisor's arguments.
    pub append: String,
    /// The modules, in their order.
    pub modules: Vec<Module>,
}

impl BootImage {
    /// Domain0's kernel, if there is one.
    pub fn dom0(&self) -> Option<&Path> {
        self.modules.first().map(|module| module.file.as_path())
    }

    /// The files that have symbols.
    pub fn symbols(&self) -> Images {
        let kernels = [Some(self.hypervisor.as_path()), self.dom0()];
        // Domain0 knows its further modules by the first words of their command lines.
        let named = self.modules.iter().skip(2).filter_map(|module| {
            let name = module.args.split_whitespace().next()?;
            Some((name.rsplit('/').next()?.to_string(), module.file.clone()))
        });
        Images {
            files: kernels.into_iter().flatten().map(Into::into).collect(),
            modules: named.collect(),
        }
    }
}

/// The program that `file` is, or that it becomes where it is the directory of a Rust package.
fn built(file: PathBuf) -> Result<PathBuf> {
    if file.join("Cargo.toml").is_file() {
        return build::foreign_guest(&file);
    }
    Ok(file)
}

/// Builds the hypervisor and whatever of `content` is not the user's; packs into `work`.
///
/// # Errors
/// A file that is not there or not what it should be; a failed build.
pub fn prepare(content: &Content, work: &Path) -> Result<BootImage> {
    // The user's own files first: a typing error should not wait for a build.
    let dom0 = content.dom0.as_deref().map(split_args);
    let mut further = Vec::new();
    for (n, module) in content.module.iter().enumerate() {
        let (file, args) = split_args(module);
        let file = built(file)?;
        ensure!(file.is_file(), "module {}: no such file", file.display());
        further.push(for_domains(n, file, &args)?);
    }
    let (dom0_file, dom0_args) = match dom0 {
        Some((file, args)) if file.as_os_str().is_empty() => (None, args),
        Some((file, args)) if file == Path::new("-") => {
            let has_nothing = args.is_empty() && further.is_empty() && content.initrd.is_none();
            ensure!(
                has_nothing,
                "without Domain0 nobody takes arguments, an initrd or modules"
            );
            return Ok(BootImage {
                hypervisor: hypervisor(content)?,
                append: content.append.clone(),
                modules: Vec::new(),
            });
        }
        Some((file, args)) => {
            let file = built(file)?;
            check_elf(&file).with_context(|| format!("Domain0's kernel {}", file.display()))?;
            (Some(file), args)
        }
        None => (None, String::new()),
    };
    let user_initrd = match &content.initrd {
        Some(path) => Some(initrd::from_user(path, &work.join("initrd.cpio"))?),
        None => None,
    };
    let hypervisor = hypervisor(content)?;
    // Domain0 of ours finds something to make other domains of.
    let is_default = dom0_file.is_none() && build::PROGRAMS.exists();
    let dom0_file = match dom0_file {
        Some(file) => file,
        None => build::MINI_GUEST
            .build_one()
            .context("no Domain0 (name one with --dom0, or - for none)")?,
    };
    let initrd_file = match user_initrd {
        Some(file) => file,
        None => initrd::of_programs(&work.join("initrd.cpio"))?,
    };
    let mut modules = vec![
        Module {
            name: "dom0".into(),
            file: dom0_file,
            args: dom0_args,
        },
        Module {
            name: "initrd".into(),
            file: initrd_file,
            args: String::new(),
        },
    ];
    modules.extend(further);
    if is_default {
        let kernel = modules[0].file.clone();
        let initrd = initrd::of_domain(&work.join(DOMAIN_INITRD))?;
        // Domains that name no initial file system get this one.
        let kernel_args = format!("initrd={DOMAIN_INITRD}");
        let small = build::MINI_GUEST.build_bin(build::SMALL_GUEST)?;
        for (file, args) in [(kernel, kernel_args.as_str()), (initrd, ""), (small, "")] {
            modules.push(for_domains(modules.len() - 2, file, args)?);
        }
    }
    Ok(BootImage {
        hypervisor,
        append: content.append.clone(),
        modules,
    })
}

/// File name of the default initial file system for other domains.
pub const DOMAIN_INITRD: &str = "domu.cpio";

/// The module of number `n` after Domain0's own: its command line begins with the file's name.
///
/// # Errors
/// A file name that cannot be a word.
pub fn for_domains(n: usize, file: PathBuf, args: &str) -> Result<Module> {
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.filter(|name| !name.contains(char::is_whitespace));
    let name =
        name.with_context(|| format!("module {}: its name must be one word of text", file.display()))?;
    Ok(Module {
        name: format!("module{}", n + 2),
        args: format!("{name} {args}").trim_end().into(),
        file,
    })
}

/// The user's hypervisor, or our own.
fn hypervisor(content: &Content) -> Result<PathBuf> {
    let Some(file) = &content.hypervisor else {
        return build::HYPERVISOR.build_one();
    };
    check_elf(file).with_context(|| format!("hypervisor {}", file.display()))?;
    Ok(std::path::absolute(file)?)
}

/// Splits `FILE,ARGS` at its first comma.
fn split_args(text: &str) -> (PathBuf, String) {
    let (file, args) = text.split_once(',').unwrap_or((text, ""));
    (PathBuf::from(file), args.to_string())
}

/// Refuses what is no ELF file.
fn check_elf(path: &Path) -> Result<()> {
    let mut magic = [0; 4];
    let mut file = std::fs::File::open(path)?;
    if file.read_exact(&mut magic).is_err() || &magic != b"\x7fELF" {
        bail!("not an ELF file");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_begin_at_the_first_comma() {
        assert_eq!(split_args("k"), ("k".into(), String::new()));
        assert_eq!(split_args("k,a b,c"), ("k".into(), "a b,c".into()));
        assert_eq!(split_args(",quiet"), ("".into(), "quiet".into()));
    }

    #[test]
    fn modules_for_domains_are_named_by_their_files() {
        let module = |file: &str, args| for_domains(1, file.into(), args);
        let named = module("/a/kernel", "quiet x").unwrap();
        assert_eq!(
            (named.name.as_str(), named.args.as_str()),
            ("module3", "kernel quiet x")
        );
        assert_eq!(module("b.cpio", "").unwrap().args, "b.cpio");
        assert!(module("/a/two words", "").is_err());
    }

    fn refusal(content: &Content) -> String {
        let work = tempfile::tempdir().unwrap();
        format!(
            "{:#}",
            prepare(content, work.path()).expect_err("refused before any build")
        )
    }

    #[test]
    fn the_users_files_are_checked_before_anything_is_built() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("text");
        std::fs::write(&text, "no ELF").unwrap();
        let dom0 = |dom0: &str| Content {
            dom0: Some(dom0.to_string()),
            ..Content::default()
        };
        assert!(refusal(&dom0(text.to_str().unwrap())).contains("not an ELF file"));
        assert!(refusal(&dom0("/nonexistent/kernel")).contains("No such file"));
        let initrd = Content {
            initrd: Some("/nonexistent/tree".into()),
            ..Content::default()
        };
        assert!(refusal(&initrd).contains("/nonexistent/tree"));
        let module = Content {
            module: vec!["/nonexistent/module,args".into()],
            ..Content::default()
        };
        assert!(refusal(&module).contains("/nonexistent/module: no such file"));
    }
}
