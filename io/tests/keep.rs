//! What a new file has of the one whose place it takes, and what becomes of a target that is not what it was.

mod common;

use std::fs;
use std::sync::Arc;

use common::{Place, memory};
use gosync_io::source::{BlockingRead, BlockingSource};
use gosync_io::{ErrorKind, IndexOptions, Job, JobOptions, Keep, Result, Source, Statistics};

const NEW: &[u8] = b"the new version";

fn place() -> Place {
    Place::new(b"the old version")
}

impl Place {
    fn run(&self, source: Arc<dyn Source>, options: JobOptions) -> Result<Statistics> {
        let index = gosync_io::index_bytes(NEW, &IndexOptions::default()).expect("an index");
        Job::new(Arc::new(index), Some(source), &self.target, options)?.run()
    }

    fn update(&self, keep: &str) {
        let keep = keep.parse().expect("names");
        let options = JobOptions { keep, ..JobOptions::default() };
        self.run(memory(NEW), options).expect("an update");
        assert_eq!(fs::read(&self.target).expect("the target"), NEW);
    }
}

#[test]
fn names_of_what_is_kept() {
    assert_eq!("mode,owner, xattrs".parse::<Keep>().expect("names"), Keep::default());
    assert_eq!("none".parse::<Keep>().expect("a name"), Keep::NONE);
    let all = Keep::NAMES.join(",").parse::<Keep>().expect("names");
    assert!(all.mode && all.owner && all.xattrs && all.times);
    for wrong in ["", "modes", "none,mode", "mode,"] {
        assert_eq!(wrong.parse::<Keep>().expect_err(wrong).kind(), ErrorKind::Argument);
    }
}

#[test]
fn times_are_kept_where_asked_for() {
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    for keep in ["times", "mode"] {
        let place = place();
        fs::File::options().write(true).open(&place.target).expect("it").set_modified(long_ago).expect("a time");
        place.update(keep);
        let is_kept = fs::metadata(&place.target).expect("it").modified().expect("a time") == long_ago;
        assert_eq!(is_kept, keep == "times");
    }
}

/// While the content is fetched, something else is done.
struct Meanwhile<F>(F);

impl<F: Fn() + Send + Sync + 'static> BlockingRead for Meanwhile<F> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        (self.0)();
        buffer.copy_from_slice(&NEW[offset as usize..][..buffer.len()]);
        Ok(buffer.len())
    }
}

fn meanwhile(action: impl Fn() + Send + Sync + 'static) -> Arc<dyn Source> {
    Arc::new(BlockingSource::new(Meanwhile(action), 1).expect("a source"))
}

#[test]
#[cfg_attr(windows, ignore = "nobody can replace a file that is open, as the target is then")]
fn what_another_program_puts_at_the_target_stays() {
    let place = place();
    let (target, theirs) = (place.target.clone(), place.path("theirs"));
    let replace = move || {
        fs::write(&theirs, b"what others have put there").expect("a file");
        fs::rename(&theirs, &target).expect("a rename");
    };
    let error = place.run(meanwhile(replace), JobOptions::default()).expect_err("it is another file");
    assert_eq!(error.kind(), ErrorKind::State, "{error}");
    assert_eq!(fs::read(&place.target).expect("it"), b"what others have put there");
    assert_eq!(place.names().len(), 2, "the finished file is kept");
    // The next update means the file that is there now, and fetches nothing.
    let done = place.run(meanwhile(|| panic!("it is all there")), JobOptions::default()).expect("an update");
    assert_eq!((done.fetched, fs::read(&place.target).expect("it").as_slice()), (0, NEW));
    assert_eq!(place.names(), ["target"]);
}

#[test]
#[cfg_attr(windows, ignore = "nobody can replace a file that is open, as the target is then")]
fn a_target_that_becomes_the_new_version_or_goes_away_is_fine() {
    for gone in [false, true] {
        let place = place();
        let (target, theirs) = (place.target.clone(), place.path("theirs"));
        let change = move || {
            if gone {
                let _ = fs::remove_file(&target);
                return;
            }
            fs::write(&theirs, NEW).expect("a file");
            fs::rename(&theirs, &target).expect("a rename");
        };
        place.run(meanwhile(change), JobOptions::default()).expect("an update");
        assert_eq!(fs::read(&place.target).expect("it"), NEW);
        assert_eq!(place.names(), ["target"]);
    }
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn set_mode(place: &Place, mode: u32) {
        fs::set_permissions(&place.target, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    fn mode(place: &Place) -> u32 {
        fs::metadata(&place.target).expect("the target").mode() & 0o7777
    }

    #[test]
    fn the_mode_is_kept_or_not() {
        for bits in [0o640, 0o444, 0o4755] {
            let place = place();
            set_mode(&place, bits);
            place.update("mode,owner");
            assert_eq!(mode(&place), bits);
        }
        let (place, fresh) = (place(), place());
        set_mode(&place, 0o600);
        place.update("none");
        assert_eq!(mode(&place), mode(&fresh));
    }

    /// A finished file that has a read-only mode already is still gone on with.
    #[test]
    fn a_finished_file_that_is_read_only_is_gone_on_with() {
        let place = place();
        set_mode(&place, 0o444);
        let (target, theirs) = (place.target.clone(), place.path("theirs"));
        let replace = move || {
            fs::write(&theirs, b"theirs").expect("a file");
            fs::set_permissions(&theirs, fs::Permissions::from_mode(0o444)).expect("a mode");
            fs::rename(&theirs, &target).expect("a rename");
        };
        place.run(meanwhile(replace), JobOptions::default()).expect_err("it is another file");
        let done = place.run(meanwhile(|| panic!("it is all there")), JobOptions::default()).expect("an update");
        assert_eq!((done.fetched, mode(&place)), (0, 0o444));
    }

    #[test]
    fn the_owner_is_kept_where_that_is_allowed() {
        let place = place();
        if std::os::unix::fs::chown(&place.target, Some(12345), Some(54321)).is_err() {
            eprintln!("skipped: only root may give files away");
            return;
        }
        set_mode(&place, 0o6755);
        place.update("mode,owner");
        let about = fs::metadata(&place.target).expect("the target");
        assert_eq!((about.uid(), about.gid(), about.mode() & 0o7777), (12345, 54321, 0o6755));
        place.run(memory(NEW), JobOptions::default()).expect("nothing to do");
        // As another's, a file must not have the rights that it had as its owner's.
        fs::write(&place.target, b"old again").expect("an old version");
        std::os::unix::fs::chown(&place.target, Some(12345), Some(54321)).expect("as before");
        set_mode(&place, 0o755);
        place.update("mode");
        assert_eq!(fs::metadata(&place.target).expect("the target").uid(), 0);
    }

    /// An update that was about to be published has given the new file away already.
    #[test]
    fn a_finished_file_that_is_the_owners_is_gone_on_with() {
        let place = place();
        let give = |path: &std::path::Path, owner| std::os::unix::fs::chown(path, Some(owner), None);
        if give(&place.target, 12345).is_err() {
            eprintln!("skipped: only root may give files away");
            return;
        }
        let again = |owner: u32| {
            let (target, theirs) = (place.target.clone(), place.path("theirs"));
            let replace = move || {
                fs::write(&theirs, b"theirs").expect("a file");
                give(&theirs, owner).expect("given");
                fs::rename(&theirs, &target).expect("a rename");
            };
            place.run(meanwhile(replace), JobOptions::default()).expect_err("it is another file");
        };
        again(12345);
        let next = || place.run(meanwhile(|| panic!("it is all there")), JobOptions::default()).expect("an update");
        assert_eq!(next().written, 0);
        assert_eq!(fs::metadata(&place.target).expect("the target").uid(), 12345);
        // To whom the target does not belong may have done anything with it: it is a seed and no more.
        fs::write(&place.target, b"old again").expect("an old version");
        again(23456);
        give(&place.target, 34567).expect("given");
        assert_eq!(next().written, NEW.len() as u64);
    }

    #[test]
    fn extended_attributes_are_kept_or_not() {
        for keep in ["xattrs", "mode"] {
            let place = place();
            if xattr::set(&place.target, "user.gosync-test", b"a value").is_err() {
                eprintln!("skipped: there are no extended attributes here");
                return;
            }
            place.update(keep);
            let value = xattr::get(&place.target, "user.gosync-test").expect("attributes");
            assert_eq!(value.is_some(), keep == "xattrs");
        }
    }

    /// Access control lists belong to the mode.
    #[cfg(target_os = "linux")]
    #[test]
    fn access_control_lists_are_kept_or_not() {
        // Version 2; owner rw-, user 12345 r--, group ---, mask r--, others ---.
        let entry = |tag: u16, rights: u16, id: u32| {
            [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat()
        };
        let list = [
            2u32.to_le_bytes().to_vec(),
            entry(1, 6, u32::MAX),
            entry(2, 4, 12345),
            entry(4, 0, u32::MAX),
            entry(16, 4, u32::MAX),
            entry(32, 0, u32::MAX),
        ]
        .concat();
        for keep in ["mode", "xattrs"] {
            let place = place();
            if xattr::set(&place.target, "system.posix_acl_access", &list).is_err() {
                eprintln!("skipped: there are no access control lists here");
                return;
            }
            place.update(keep);
            let value = xattr::get(&place.target, "system.posix_acl_access").expect("attributes");
            assert_eq!(value.is_some_and(|value| value == list), keep == "mode");
        }
    }

    #[test]
    fn a_link_is_followed_or_refused() {
        let place = place();
        let link = place.path("link");
        symlink("target", &link).expect("a link");
        let through = Place { target: link, ..place };
        let options = JobOptions { refuse_symlink: true, ..JobOptions::default() };
        let error = through.run(meanwhile(|| ()), options.clone()).expect_err("it is a link");
        assert_eq!(error.kind(), ErrorKind::Argument, "{error}");
        through.update("none");
        assert_eq!(through.names(), ["link", "target"]);
        assert!(fs::symlink_metadata(&through.target).expect("the link").is_symlink());
        // What only leads there by its folder is no link.
        let direct = Place { target: through.path("target"), ..through };
        direct.run(meanwhile(|| ()), options).expect("an update");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_a_clear_error() {
        if rustix::process::geteuid().is_root() {
            eprintln!("skipped: root may write anywhere");
            return;
        }
        let place = place();
        fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o555)).expect("a mode");
        let error = place.run(meanwhile(|| ()), JobOptions::default()).expect_err("it cannot be written");
        assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
        fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        assert_eq!(fs::read(&place.target).expect("it"), b"the old version");
    }
}
