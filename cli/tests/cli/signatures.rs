//! Name, version and signature of an index, as a publisher gives them and a receiver demands them.

use crate::support::Folder;

/// A secret key, encrypted with the password "secret" and less work than minisign's program takes, and its public key.
const SECRET_KEY: &str = "untrusted comment: minisign encrypted secret key
RWRTY0IyAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8AgAAAAAAAAAAAAAEAAAAALbYG5ELogTnCyOVXf+PdjNDUyg0ssU4OmETtY5lyf/Sx35nwyZd257MUtWxVBkeGcLYOIB8L9z3KcaI8NthxysBiiKclaZa00ZbzDkkawWPjPfTAAmxHC+NmNkRc+WCqevrEhP3ucg4=
";
const PUBLIC_KEY: &str = "RWTzupLICwciIHgIx9iHinnpQT1zQ3DxePYyPhGvPqPrKWSyDJWb/YtB";

/// A folder with an index of `new` that is signed, and the keys.
fn signed() -> Folder {
    let (folder, _) = Folder::with_release();
    folder.write("key", SECRET_KEY.as_bytes());
    folder.write("key.pub", format!("untrusted comment: minisign public key\n{PUBLIC_KEY}\n").as_bytes());
    folder.write("password", b"secret\n");
    let fields = ["index", "new", "-o", "signed.gosync", "--name", "app", "--version", "2.0"];
    folder.gosync(fields.into_iter().chain(["--sign", "key", "--sign-password", "@password"])).expect_code(0);
    folder
}

#[test]
fn info_shows_who_published_what() {
    let folder = signed();
    let row = |args: &[&str], label: &str| {
        let run = folder.gosync(["info"].iter().chain(args)).expect_code(0);
        let row = run.stdout.lines().find(|line| line.starts_with(label)).unwrap_or_default();
        row[label.len()..].trim().to_owned()
    };
    assert_eq!(row(&["signed.gosync"], "name"), "app");
    assert_eq!(row(&["signed.gosync"], "version"), "2.0");
    assert!(row(&["signed.gosync"], "signature").contains("not checked"));
    assert!(row(&["signed.gosync", "--public-key", PUBLIC_KEY], "signature").starts_with("by the holder"));
    assert_eq!(row(&["new.gosync"], "name"), "none");
    assert_eq!(row(&["new.gosync"], "signature"), "none");

    let last = folder.gosync(["info", "signed.gosync", "--json"]).expect_code(0).last();
    assert_eq!((last["name"].as_str(), last["version"].as_str()), (Some("app"), Some("2.0")));
    assert!(last["signature"].as_str().is_some_and(|text| text.starts_with("untrusted comment: ")), "{last}");
    let last = folder.gosync(["info", "new.gosync", "--json"]).expect_code(0).last();
    assert!(last["name"].is_null() && last["version"].is_null() && last["signature"].is_null(), "{last}");
}

#[test]
fn every_verb_refuses_what_is_not_signed() {
    let folder = signed();
    let old = folder.read("app");
    for key in [PUBLIC_KEY, "@key.pub"] {
        for verb in
            [&["plan", "app", "--index"][..], &["update", "app", "--index"], &["verify", "app", "--index"], &["info"]]
        {
            let run = folder.gosync(verb.iter().chain(&["new.gosync", "--public-key", key])).expect_code(1);
            assert!(run.error().contains("not signed"), "{}", run.stderr);
        }
    }
    assert_eq!(folder.read("app"), old);
    folder.gosync(["update", "app", "--index", "signed.gosync", "--public-key", "@key.pub"]).expect_code(0);
    assert_eq!(folder.read("app"), folder.read("new"));
    folder.gosync(["verify", "app", "--index", "signed.gosync", "--public-key", PUBLIC_KEY]).expect_code(0);
    // One letter of the publisher's words.
    let mut bytes = folder.read("signed.gosync");
    let at = bytes.windows(3).position(|window| window == b"2.0").expect("the version");
    bytes[at] = b'3';
    folder.write("damaged.gosync", &bytes);
    folder.gosync(["info", "damaged.gosync"]).expect_code(5);
}

#[test]
fn keys_that_are_none_are_told() {
    let folder = signed();
    folder.gosync(["info", "signed.gosync", "--public-key", "RWTz"]).expect_code(2);
    folder.gosync(["info", "signed.gosync", "--public-key", "@missing"]).expect_code(3);
    folder.gosync(["index", "new", "--sign", "missing"]).expect_code(3);
    folder.gosync(["index", "new", "--sign", "key.pub"]).expect_code(2);
    let run = folder.gosync(["index", "new", "--sign", "key", "--sign-password", "wrong"]).expect_code(2);
    assert!(run.error().contains("password"), "{}", run.stderr);
    // Nobody is at a terminal to be asked.
    let run = folder.gosync(["index", "new", "--sign", "key"]).expect_code(2);
    assert!(run.error().contains("password"), "{}", run.stderr);
    folder.gosync(["index", "new", "--sign-password", "secret"]).expect_code(2);
    // The program's own version is still shown.
    assert!(folder.gosync(["--version"]).expect_code(0).stdout.starts_with("gosync "));
}
