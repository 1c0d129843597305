//! Updates of a directory on a full disk: one that is known to be too small, one that another program fills meanwhile, and one
//! on which any of the calls that need room fails. Each entry is what it was, or the directory is said to be unfinished.

use std::fs;
use std::io::Write;
use std::path::Path;

use gosync_tests::has;
use gosync_tests::mounts::Mounted;
use gosync_tests::process::{IN_FLIGHT, run_while, verify};

use crate::tree_site::{NEW, Site, beside, entries, is_stage};
use crate::{MIB, room};

/// Makes a file of another program that takes all room but `rest` bytes.
fn fill(disk: &Path, rest: u64) {
    let mut ballast = fs::File::create(disk.join("ballast")).expect("the ballast");
    ballast.sync_all().expect("synced");
    let bytes = room(disk).checked_sub(rest).expect("so much room");
    let is_written = ballast.write_all(&vec![1; bytes as usize]).is_ok();
    assert!(is_written || rest == 0, "{bytes} bytes of ballast");
    // To the last block, where nothing is to be left.
    while rest == 0 && ballast.write_all(&[1; 512]).is_ok() {}
    ballast.sync_all().expect("synced");
}

fn ext4() -> Option<Mounted> {
    Mounted::in_a_file(24 << 20, &["mkfs.ext4", "-q", "-F", "-m", "0"])
}

/// There is not enough room, and that is found out before anything is fetched.
#[track_caller]
fn too_small(disk: &Mounted) {
    let site = Site::new(0);
    let (target, missing) = site.old_version(disk.folder());
    let before = entries(&target);
    fill(disk.folder(), 2 * MIB as u64);
    let said = run_while(site.update(&target, &[]), || true, || {});
    assert_eq!((said.is_well, said.signal, said.kind()), (false, None, "NO_SPACE"), "{}", said.all);
    assert_eq!(site.sent(), 0, "{}", said.all);
    assert!(entries(&target) == before, "the directory has changed: {}", said.all);
    assert_eq!(beside(&target), [""; 0]);
    let fact = |name: &str| said.last["context"][name].as_str().and_then(|text| text.parse::<u64>().ok());
    let (needed, available) = (fact("needed").expect("a number"), fact("available").expect("a number"));
    // Each file that changes is made anew, whole.
    let whole = (NEW + MIB / 2) as u64;
    assert!((whole..whole + MIB as u64 / 4).contains(&needed) && available < needed, "{}", said.all);
    // So much is enough, and a little for what is written down about it.
    fill(disk.folder(), needed + 256 * 1024);
    site.then_it_goes_well(&target, missing);
}

#[test]
fn a_directory_for_whose_new_version_there_is_no_room_in_memory() {
    let Some(disk) = Mounted::in_memory(16 << 20) else { return };
    too_small(&disk);
}

#[test]
fn a_directory_for_whose_new_version_there_is_no_room_on_ext4() {
    let Some(disk) = ext4() else { return };
    too_small(&disk);
}

/// There was enough room, and then another program takes it.
#[track_caller]
fn filled_meanwhile(disk: &Mounted) {
    let site = Site::new(1_500_000);
    let (target, missing) = site.old_version(disk.folder());
    let before = entries(&target);
    let ballast = disk.folder().join("ballast");
    let said = run_while(site.update(&target, &[]), || site.sent() >= MIB as u64, || fill(disk.folder(), 0));
    assert_eq!((said.is_well, said.signal, said.kind()), (false, None, "NO_SPACE"), "{}", said.all);
    assert!(entries(&target) == before, "the directory has changed: {}", said.all);
    assert!(is_stage(&beside(&target)), "{:?}", beside(&target));
    let found = verify(&target, &site.index());
    assert!(!found.is_well && found.last["unfinished"] == false, "{}", found.all);
    // As long as there is no room, that is known at once, and nothing is lost by asking.
    let sent = site.sent();
    let said = run_while(site.update(&target, &[]), || true, || {});
    assert_eq!((said.is_well, said.kind()), (false, "NO_SPACE"), "{}", said.all);
    assert!(entries(&target) == before && is_stage(&beside(&target)), "{:?}", beside(&target));
    assert_eq!(site.sent(), sent, "{}", said.all);
    fs::remove_file(ballast).expect("removed");
    // What is in flight may be asked for once more between the failure and the end.
    site.then_it_goes_well(&target, missing + 2 * IN_FLIGHT);
}

#[test]
fn a_directory_whose_disk_in_memory_is_filled_meanwhile() {
    let Some(disk) = Mounted::in_memory(16 << 20) else { return };
    filled_meanwhile(&disk);
}

#[test]
fn a_directory_whose_ext4_is_filled_meanwhile() {
    let Some(disk) = ext4() else { return };
    filled_meanwhile(&disk);
}

/// Each call that may need room, when it is the first, the second and so on of its thread that fails, to the last.
#[test]
fn a_directory_whose_disk_is_full_at_any_call() {
    if !has("strace") {
        return;
    }
    let site = Site::new(0);
    let (mut kept, mut unfinished) = (0, 0);
    for calls in ["pwrite64", "mkdir,mkdirat", "fsync,fdatasync", "rename,renameat,renameat2"] {
        for when in [1, 2, 3, 5, 8, 12, 16, 20, 30, 40, 80, 120] {
            let disk = tempfile::tempdir().expect("a folder");
            let (target, missing) = site.old_version(disk.path());
            let (before, sent) = (entries(&target), site.sent());
            let inject = format!("inject={calls}:error=ENOSPC:when={when}+");
            let strace =
                ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &inject, "--"];
            let said = run_while(site.update(&target, &strace), || true, || {});
            if said.is_well {
                assert!(when > 2, "{calls} was never called");
                break;
            }
            let what = format!("{calls}, {when}: {}", said.all);
            assert_eq!((said.signal, said.kind()), (None, "NO_SPACE"), "{what}");
            let found = verify(&target, &site.index());
            let is_unfinished = found.last["unfinished"] == true;
            assert!(is_unfinished || entries(&target) == before, "the directory has changed: {what}");
            assert_eq!(said.last["context"]["unfinished"].is_string(), is_unfinished, "{what}");
            let names = beside(&target);
            assert!(is_stage(&names) || names.is_empty() && !is_unfinished, "{names:?} beside it: {what}");
            kept += u64::from(is_stage(&names));
            unfinished += u64::from(is_unfinished);
            // What was begun is finished without anything that is fetched.
            let most = if is_unfinished { site.sent() } else { sent + missing + 2 * IN_FLIGHT };
            site.then_it_goes_well(&target, most);
        }
    }
    assert!(kept > 5 && unfinished > 5, "{kept} stages were kept, {unfinished} directories left unfinished");
}
