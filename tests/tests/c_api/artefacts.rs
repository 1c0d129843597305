//! What is installed: exported symbols, the shared library's name, layouts, constants, the pkg-config file.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use gosync_tests::c::{Link, installed, soname};
use gosync_tests::{has, root, run, vectors};

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of a ledger that are not comments.
fn ledger(name: &str) -> Vec<String> {
    let text = read(Path::new("ffi/abi").join(name));
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

fn listed_symbols() -> BTreeSet<String> {
    let lines = ledger("symbols.txt");
    lines.iter().filter_map(|line| line.split_once(' ')).map(|(symbol, _since)| symbol.to_owned()).collect()
}

/// The shared library exports exactly what the ledger lists; the static one has all of it.
#[test]
#[cfg(target_os = "linux")]
fn exported_symbols_are_the_ledger() {
    let defined = |arguments: &[&str], link| {
        let out = run(Command::new("nm").args(arguments).arg(installed().library(link)));
        let symbols = out.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned);
        symbols.collect::<BTreeSet<_>>()
    };
    let listed = listed_symbols();
    assert!(listed.len() > 50, "{listed:?}");
    assert_eq!(defined(&["-D", "--defined-only"], Link::Shared), listed);
    let mut in_archive = defined(&["-g", "--defined-only"], Link::Static);
    in_archive.retain(|symbol| symbol.starts_with("gosync_"));
    assert_eq!(in_archive, listed);
}

/// Each symbol is declared in the header, with the version that it came with.
#[test]
fn the_header_declares_the_ledger() {
    let header = read("include/gosync.h");
    assert!(header.is_ascii(), "some compilers read the header in a code page of their own");
    for line in ledger("symbols.txt") {
        let (symbol, since) = line.split_once(' ').expect("a symbol and a version");
        // The last place is the declaration; the head of the header has examples.
        let at = header.rfind(&format!("{symbol}(")).unwrap_or_else(|| panic!("{symbol} is not declared"));
        let comment = header[..at].rsplit("\n\n").next().unwrap_or_default();
        let minor = since.rsplit_once('.').map_or(since, |(minor, _patch)| minor);
        assert!(
            comment.contains(&format!("Since {minor}.")),
            "{symbol} does not say that it came in {minor}: {comment}"
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_soname_carries_the_abi() {
    let dynamic = run(Command::new("readelf").arg("-d").arg(installed().library(Link::Shared)));
    assert!(dynamic.contains(&format!("[{}]", soname())), "{dynamic}");
    let program = installed().compile("soname", Link::Shared, &[root().join("examples/c/updater.c")]);
    let needed = run(Command::new("readelf").arg("-d").arg(program));
    assert!(needed.contains(&format!("Shared library: [{}]", soname())), "{needed}");
}

/// A C file of which each line only compiles if what it claims is true.
#[track_caller]
fn compiles(claims: &[String]) {
    let mut text = "#include <gosync.h>\n#include <stddef.h>\n".to_owned();
    for (number, claim) in claims.iter().enumerate() {
        let _ = writeln!(text, "extern char claim_{number}[({claim}) ? 1 : -1];");
    }
    let folder = tempfile::tempdir().expect("a folder for the file");
    let file = folder.path().join("claims.c");
    std::fs::write(&file, text).expect("a file to compile");
    installed().check(&file, "c99");
}

/// The compiler lays the structures out as the ledger says, and the ledger has all of them.
#[test]
#[cfg(target_pointer_width = "64")]
fn layouts_are_the_ledger() {
    let (mut claims, mut structs, mut current) = (Vec::new(), BTreeSet::new(), String::new());
    for line in ledger("layout.txt") {
        let (name, number) = line.trim().split_once(' ').expect("a name and a number");
        if line.starts_with(' ') {
            claims.push(format!("offsetof({current}, {name}) == {number}"));
        } else {
            claims.push(format!("sizeof({name}) == {number}"));
            current = name.to_owned();
            structs.insert(current.clone());
        }
    }
    let header = read("include/gosync.h");
    let closing = header.lines().filter_map(|line| line.strip_prefix("} ")?.strip_suffix(';'));
    assert_eq!(closing.map(str::to_owned).collect::<BTreeSet<_>>(), structs);
    assert!(claims.len() > 60, "{claims:?}");
    compiles(&claims);
}

/// Every kind of error has its constant, and every constant its kind.
#[test]
fn constants_are_the_list_of_errors() {
    let errors = vectors("errors.json");
    let list = errors["errors"].as_array().expect("a list of errors");
    let mut names = BTreeSet::new();
    let mut claims = vec!["GOSYNC_OK == 0".to_owned()];
    for error in list {
        let name = error["name"].as_str().expect("a name");
        claims.push(format!("GOSYNC_E_{name} == {}", error["number"]));
        names.insert(format!("GOSYNC_E_{name}"));
    }
    let header = read("include/gosync.h");
    let defined = header.lines().filter_map(|line| line.strip_prefix("#define ")?.split_whitespace().next());
    let defined: BTreeSet<_> = defined.filter(|name| name.starts_with("GOSYNC_E_")).map(str::to_owned).collect();
    assert_eq!(defined, names);
    compiles(&claims);
}

/// What pkg-config says is enough to compile against the shared library, and to link the static one.
#[test]
fn pkg_config_is_enough() {
    if !has("pkg-config") {
        return;
    }
    let prefix = installed().prefix();
    let ask = |arguments: &[&str]| {
        let mut command = Command::new("pkg-config");
        run(command.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(arguments).arg("gosync"))
    };
    assert_eq!(ask(&["--modversion"]).trim(), env!("CARGO_PKG_VERSION"));
    let build = |name: &str, flags: String, more: &[String]| {
        let program = prefix.join(name);
        let mut command = Command::new("cc");
        command.arg("-std=c99").arg(root().join("examples/c/updater.c")).arg("-o").arg(&program);
        run(command.args(flags.split_whitespace()).args(more));
        let output = Command::new(program).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(2), "without arguments it says how it is used");
    };
    build("by-pkg-config", ask(&["--cflags", "--libs"]), &[format!("-Wl,-rpath,{}", prefix.join("lib").display())]);
    let library = installed().library(Link::Static).display().to_string();
    let flags = ask(&["--static", "--cflags", "--libs"]).replace("-lgosync", &library);
    build("by-pkg-config-static", flags, &[]);
}
