//! What Debian has for us: an emulator, a shell for the machine, and kernels. Kernels of other
//! releases come from the mirror that this system uses, by an apt configuration of our own in
//! target/kernels: the system's stays as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::plan::{Kernel, Machine};
use crate::process::{find, output};
use crate::tree;

/// What is needed beside a kernel: the program, and its package.
const QEMU: (&str, &str) = ("qemu-system-x86_64", "qemu-system-x86");
const BUSYBOX: (&str, &str) = ("busybox", "busybox-static");
/// Debian's own keys, which sign all its releases.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

pub(super) struct Tools {
    pub(super) qemu: PathBuf,
    pub(super) busybox: PathBuf,
}

/// Finds the tools; installs those that are missing, which only root may.
pub(super) fn tools() -> Result<Tools, String> {
    let missing = [QEMU, BUSYBOX].map(|(program, package)| match find(program) {
        Some(path) if (program, package) != BUSYBOX || is_static(&path) => None,
        _ => Some(package),
    });
    let missing: Vec<&str> = missing.into_iter().flatten().collect();
    if !missing.is_empty() {
        install(&missing)
            .map_err(|error| format!("{} must be installed: {error}", missing.join(" and ")))?;
    }
    let find = |program| find(program).ok_or(format!("there is no {program}"));
    Ok(Tools { qemu: find(QEMU.0)?, busybox: find(BUSYBOX.0)? })
}

/// Whether a program needs no other file: it names no loader.
fn is_static(path: &Path) -> bool {
    let loader = b"/lib64/ld-linux";
    fs::read(path).is_ok_and(|bytes| !bytes.windows(loader.len()).any(|part| part == loader))
}

fn install(packages: &[&str]) -> Result<(), String> {
    println!("installing {}", packages.join(" "));
    update()?;
    let mut apt = Command::new("apt-get");
    // Somebody else may be installing.
    apt.args(["--option", "DPkg::Lock::Timeout=600", "--yes", "--no-install-recommends"]);
    apt.arg("install").args(packages).env("DEBIAN_FRONTEND", "noninteractive");
    output(&mut apt).map(drop)
}

fn update() -> Result<(), String> {
    output(Command::new("apt-get").arg("update")).map(drop)
}

/// A kernel's files.
pub(super) struct Image {
    pub(super) kernel: PathBuf,
    /// What is loaded into it first, in order.
    pub(super) modules: Vec<PathBuf>,
}

/// How the names of a kernel and its modules begin in its package.
fn names(machine: Machine) -> (&'static str, &'static [&'static str]) {
    match machine {
        Machine::Emulated => ("vmlinuz-", &[]),
        // IPv6, and what that needs.
        Machine::UserMode => ("linux.uml", &["crc-ccitt.ko", "ipv6.ko"]),
    }
}

/// The kernel's image, from where it was put last time, or from its package.
pub(super) fn image(place: &Path, kernel: &Kernel) -> Result<Image, String> {
    let place = place.join(kernel.version);
    let (name, modules) = names(kernel.machine);
    let image = Image {
        kernel: place.join("vmlinuz"),
        modules: modules.iter().map(|module| place.join(module)).collect(),
    };
    let wanted: Vec<(&str, &PathBuf)> = modules.iter().copied().zip(&image.modules).collect();
    let wanted = [&[(name, &image.kernel)], &wanted[..]].concat();
    if wanted.iter().all(|(_, path)| path.is_file()) {
        return Ok(image);
    }
    let complain = |error: std::io::Error| format!("{}: {error}", place.display());
    let unpacked = place.join("unpacked");
    fs::create_dir_all(&unpacked).map_err(complain)?;
    let package = download(&place, kernel)?;
    output(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&unpacked))?;
    let files = tree::files(&unpacked).map_err(complain)?;
    for (begin, path) in wanted {
        let is_it = |file: &&PathBuf| {
            file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(begin))
        };
        let missing = || format!("{} has no {begin}", package.display());
        let file = files.iter().find(is_it).ok_or_else(missing)?;
        fs::rename(unpacked.join(file), path).map_err(complain)?;
    }
    fs::remove_dir_all(&unpacked).map_err(complain)?;
    fs::remove_file(&package).map_err(complain)?;
    Ok(image)
}

/// Puts the kernel's package into `place`.
fn download(place: &Path, kernel: &Kernel) -> Result<PathBuf, String> {
    let apt = Apt::new(place, kernel.release)?;
    output(apt.command("apt-get").arg("update"))?;
    let depends = output(apt.command("apt-cache").args(["depends", kernel.package]))?;
    let name = match kernel.machine {
        Machine::UserMode => kernel.package,
        Machine::Emulated => {
            dependency(&depends).ok_or(format!("{} depends on nothing", kernel.package))?
        }
    };
    println!("{}: {name}", kernel.version);
    output(apt.command("apt-get").args(["download", name]).current_dir(place))?;
    let files = fs::read_dir(place).map_err(|error| format!("{}: {error}", place.display()))?;
    let is_package = |path: &PathBuf| path.extension().is_some_and(|end| end == "deb");
    let mut packages = files.flatten().map(|entry| entry.path()).filter(is_package);
    packages.next().ok_or(format!("{name} was not downloaded"))
}

/// The first package that `apt-cache depends` names.
fn dependency(depends: &str) -> Option<&str> {
    depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "))
}

/// An apt that knows one release of Debian, and leaves the system's state alone.
struct Apt {
    place: PathBuf,
}

impl Apt {
    fn new(place: &Path, release: &str) -> Result<Apt, String> {
        let place = place.join("apt");
        let complain = |error: std::io::Error| format!("{}: {error}", place.display());
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(place.join(folder)).map_err(complain)?;
        }
        fs::write(place.join("sources.list"), sources(&mirrors()?, release)?).map_err(complain)?;
        Ok(Apt { place })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let mut set = |name: &str, value: &Path| {
            command.arg("--option").arg(format!("{name}={}", value.display()));
        };
        set("Dir::Etc::SourceList", &self.place.join("sources.list"));
        set("Dir::Etc::SourceParts", Path::new("-"));
        set("Dir::State::Lists", &self.place.join("lists"));
        set("Dir::Cache", &self.place.join("cache"));
        // The user that apt downloads as cannot write here.
        set("APT::Sandbox::User", Path::new("root"));
        command
    }
}

/// The mirrors that this system uses, a line each: address, codename, origin.
fn mirrors() -> Result<String, String> {
    let ask = || {
        let format = "$(REPO_URI) $(CODENAME) $(ORIGIN)";
        output(Command::new("apt-get").args(["indextargets", "--format", format]))
    };
    let known = ask()?;
    if mirror(&known, false).is_some() {
        return Ok(known);
    }
    // What has never been updated does not know its codename.
    update()?;
    ask()
}

/// The mirror of Debian's archive, or of its security updates.
fn mirror(mirrors: &str, security: bool) -> Option<&str> {
    mirrors.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (address, codename, origin) = (words.next()?, words.next()?, words.next()?);
        let is_wanted =
            if security { codename.ends_with("-security") } else { !codename.contains('-') };
        (origin == "Debian" && !codename.is_empty() && is_wanted).then_some(address)
    })
}

/// The sources of another release on the same mirrors.
fn sources(mirrors: &str, release: &str) -> Result<String, String> {
    let missing = "apt knows no mirror of Debian here: put the image into target/kernels yourself";
    let archive = mirror(mirrors, false).ok_or(missing)?;
    let mut sources = format!("deb [arch=amd64 signed-by={KEYS}] {archive} {release} main\n");
    if let Some(security) = mirror(mirrors, true) {
        sources +=
            &format!("deb [arch=amd64 signed-by={KEYS}] {security} {release}-security main\n");
    }
    Ok(sources)
}

#[cfg(test)]
mod self_tests {
    use super::*;

    const MIRRORS: &str = "\
        http://other.test/x stable Other\n\
        http://mirror.test/security/ trixie-security Debian\n\
        http://mirror.test/debian/ trixie-updates Debian\n\
        http://mirror.test/debian/ trixie Debian\n";

    #[test]
    fn another_release_is_on_the_same_mirrors() {
        let sources = sources(MIRRORS, "bullseye").unwrap();
        let (archive, security) = sources.split_once('\n').unwrap();
        assert!(archive.ends_with(" http://mirror.test/debian/ bullseye main"), "{archive}");
        let end = " http://mirror.test/security/ bullseye-security main\n";
        assert!(security.ends_with(end), "{security}");
    }

    #[test]
    fn another_system_has_no_mirror() {
        assert!(sources("http://other.test/x stable Other\n", "bullseye").is_err());
        assert!(sources("", "bullseye").is_err());
    }

    #[test]
    fn a_package_names_the_newest_image() {
        let text = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-1-cloud-amd64\n";
        assert_eq!(dependency(text), Some("linux-image-6.1.0-1-cloud-amd64"));
        assert_eq!(dependency("linux-image\n"), None);
    }
}
