//! How a directory becomes a new version: exactly as the rules say, whatever was there, and whatever interrupts it. Stages
//! are made by hand here; the job that makes them is tested from outside.

#[cfg(target_os = "linux")]
mod folding;
#[cfg(unix)]
mod hostile;
mod job;
mod model;
mod names;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::{Disk, Op, Watch};
use crate::tests::power::cut::{Chance, Temper};
use crate::tests::power::log::Recorder;
use crate::tests::power::number;
use crate::tests::power::tree::{Image, cut};
use crate::tree::{Record, switch};
use crate::{ChangeKind, Event, Listing, OnEvent};
use model::{Node, Scene, Tree, change, expected, file, listing, random, read, tree, write};

/// Events that came.
#[derive(Debug, Default)]
pub(super) struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    pub(super) fn listener(&self) -> OnEvent {
        let events = Arc::clone(&self.0);
        Arc::new(move |event| events.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone()))
    }

    /// The paths that events of a kind are about.
    fn paths(&self, kind: &str) -> Vec<String> {
        let events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_kind = events.iter().filter(|event| event.kind == kind);
        of_kind
            .flat_map(|event| event.fields.iter().find(|(key, _)| *key == "path"))
            .map(|(_, path)| path.clone())
            .collect()
    }
}

/// An installed tree that a user has changed, and a new version.
struct Case {
    installed: Option<Tree>,
    old: Tree,
    new: Tree,
    delete: bool,
}

impl Case {
    fn random(chance: &mut Chance) -> Case {
        let installed = random(chance);
        let (mut old, mut new) = (installed.clone(), installed.clone());
        for _ in 0..chance.below(6) {
            change(&mut old, chance);
        }
        for _ in 0..chance.below(10) {
            change(&mut new, chance);
        }
        let installed = (chance.below(4) > 0).then_some(installed);
        Case { installed, old, new, delete: chance.below(5) == 0 }
    }

    /// The target as the user has left it.
    fn scene(&self) -> Scene {
        let scene = Scene::new();
        if let Some(installed) = &self.installed {
            scene.install(installed);
            std::fs::remove_dir_all(scene.target()).expect("removed");
        }
        write(&self.old, &scene.target());
        scene
    }

    fn expected(&self) -> (Tree, Tree) {
        expected(&self.old, self.installed.as_ref(), &self.new, self.delete)
    }

    fn check(&self, scene: &Scene, what: &str) {
        self.check_as(scene, what, |tree| tree);
    }

    fn check_as(&self, scene: &Scene, what: &str, seen: fn(Tree) -> Tree) {
        let (new, kept) = self.expected();
        let about = || {
            let Case { installed, old, new, delete } = self;
            format!("{what}\ninstalled {installed:?}\nold {old:?}\nnew {new:?}\ndelete {delete}")
        };
        assert_eq!(seen(read(&scene.target())), seen(new), "{}", about());
        assert_eq!(seen(scene.kept()), seen(kept), "kept: {}", about());
        assert_eq!(scene.beside(), [".tree.gosync-installed"], "{}", about());
        let record = Record::read(&scene.around()).expect("the record").expect("a record");
        let entries = |listing: &Listing| format!("{listing:?}");
        assert_eq!(entries(record.listing()), entries(&listing(&self.new)), "{}", about());
    }
}

fn chance(round: u64) -> Chance {
    Chance(number("GOSYNC_POWER_SEED", 1) ^ round.wrapping_mul(0xd134_2543_de82_ef95))
}

#[test]
fn a_tree_becomes_what_the_rules_say() {
    for round in 0..number("GOSYNC_SWITCH_COUNT", 450) {
        let case = Case::random(&mut chance(round));
        let scene = case.scene();
        scene.update(&case.new, case.delete, &Disk::system()).expect("an update");
        case.check(&scene, &format!("round {round}"));
        // And then nothing is to be done any more.
        let again = scene.changes(&case.new, case.delete, false).expect("changes");
        assert!(again.is_empty(), "round {round}: {again:?}");
    }
}

/// Lets so many changes happen, then none any more.
#[derive(Debug)]
struct Killed(AtomicUsize);

impl Watch for Killed {
    fn before(&self, _: &Op<'_>) -> io::Result<()> {
        let left = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| io::Error::other("killed"))
    }

    fn after(&self, _: &Op<'_>) {}
}

/// Whatever change is the first that is not made: the next update finishes what was begun.
#[test]
fn a_switch_that_ends_anywhere_is_finished() {
    for round in 0..number("GOSYNC_SWITCH_COUNT", 450) / 15 {
        let case = Case::random(&mut chance(round ^ 0x5157));
        for changes in 0.. {
            let scene = case.scene();
            let (stage, _) = scene.stage(&case.new, case.delete, false).expect("a stage");
            let killed = scene.finish(&stage, &Disk::watched(Arc::new(Killed(AtomicUsize::new(changes))))).is_err();
            scene.finish_if_unfinished(&Disk::system()).expect("finished");
            // What is left of a stage is the next update's, which finds nothing to do.
            if !scene.around().stages().is_empty() {
                std::fs::remove_dir_all(&scene.around().stages()[0]).expect("removed");
            }
            case.check(&scene, &format!("round {round}, {changes} changes"));
            if !killed {
                break;
            }
        }
    }
}

/// Whatever a power cut has left of the last changes: the next update finishes what was begun.
#[test]
fn a_switch_is_finished_after_power_cuts() {
    let (count, mut made) = (number("GOSYNC_POWER_COUNT", 400), 0);
    for round in number("GOSYNC_POWER_FIRST", 0).. {
        if made >= count {
            break;
        }
        let mut chance = chance(round ^ 0xca7);
        let case = Case::random(&mut chance);
        let mut scene = case.scene();
        scene.stage(&case.new, case.delete, false).expect("a stage");
        let mut history = format!("round {round}");
        for _ in 0..1 + chance.below(3) {
            let before = Image::read(scene.folder.path());
            let recorder = Arc::new(Recorder::default());
            let watch: Arc<Recorder> = Arc::clone(&recorder);
            scene.finish_if_unfinished(&Disk::watched(watch)).expect("finished");
            let log = recorder.take();
            let moments = if chance.below(8) == 0 { log.length } else { chance.below(log.length + 1) };
            let temper = Temper::ALL[chance.below(Temper::ALL.len())];
            history = format!("{history}, cut after {moments} of {} of a disk that {temper:?}", log.length);
            let after = cut(&before, scene.folder.path(), &log, moments, temper, &mut chance);
            scene = Scene::new();
            after.write(scene.folder.path());
            made += 1;
        }
        scene.finish_if_unfinished(&Disk::system()).expect(&history);
        for stage in scene.around().stages() {
            std::fs::remove_dir_all(stage).expect("removed");
        }
        // The simulated disk knows nothing of modes.
        case.check_as(&scene, &history, without_modes);
    }
}

fn without_modes(tree: Tree) -> Tree {
    let node = |node| match node {
        Node::File(content, _) => Node::File(content, false),
        other => other,
    };
    tree.into_iter().map(|(path, of)| (path, node(of))).collect()
}

#[test]
fn a_plan_says_what_an_update_does() {
    let scene = Scene::new();
    scene.install(&tree(&[
        ("changed", file("one")),
        ("folder", Node::Folder),
        ("folder/gone", file("gone")),
        ("folder/moved", file("a content")),
        ("mine", file("original")),
        ("mine too", file("original too")),
        ("program", file("#!")),
        ("same", file("same")),
    ]));
    std::fs::write(scene.target().join("mine"), "edited").expect("edited");
    std::fs::write(scene.target().join("mine too"), "edited too").expect("edited");
    let new = tree(&[
        ("added", file("12345")),
        ("changed", file("three")),
        ("mine", file("the next")),
        ("other", Node::Folder),
        ("other/moved", file("a content")),
        ("program", Node::File("#!".into(), cfg!(unix))),
        ("same", file("same")),
    ]);
    let changes = scene.changes(&new, false, false).expect("changes");
    let list: Vec<_> = changes
        .list
        .iter()
        .map(|change| (&*change.path, change.what.name(), change.from.as_deref(), change.size))
        .collect();
    let mut right = vec![
        ("added", "added", None, 5),
        ("changed", "changed", None, 5),
        ("folder/", "removed", None, 0),
        ("folder/gone", "removed", None, 4),
        ("mine", "kept", None, 6),
        ("mine", "changed", None, 8),
        ("mine too", "kept", None, 10),
        ("other/", "added", None, 0),
        ("other/moved", "renamed", Some("folder/moved"), 9),
    ];
    if cfg!(unix) {
        right.push(("program", "mode", None, 2));
    }
    assert_eq!(list, right);
    // What is changed in place is not in the stage.
    assert_eq!(changes.staged.len(), 4);
    scene.update(&new, false, &Disk::system()).expect("an update");
    assert_eq!(scene.events.paths("kept"), ["mine too", "mine"]);
    let told = scene.events.paths("entry");
    assert!(told.iter().any(|path| path == "other/moved") && told.iter().any(|path| path == "folder/gone"));
    assert_eq!(scene.kept(), tree(&[("mine", file("edited"))]));
}

#[cfg(unix)]
#[test]
fn what_was_edited_after_the_plan_for_its_mode_is_left_as_it_is() {
    let scene = Scene::new();
    scene.install(&tree(&[("edited", file("#!")), ("program", file("#!"))]));
    let program = || Node::File("#!".into(), true);
    let (stage, _) = scene.stage(&tree(&[("edited", program()), ("program", program())]), false, false).expect("begun");
    std::fs::write(scene.target().join("edited"), "my own").expect("edited");
    scene.finish(&stage, &Disk::system()).expect("finished");
    assert_eq!(read(&scene.target()), tree(&[("edited", file("my own")), ("program", program())]));
    assert_eq!(scene.events.paths("kept"), ["edited"]);
}

#[test]
fn what_was_kept_is_never_replaced() {
    let scene = Scene::new();
    for round in ["one", "two", "three"] {
        scene.install(&tree(&[("a", file(round))]));
        std::fs::write(scene.target().join("a"), format!("edited {round}")).expect("edited");
    }
    scene.install(&tree(&[("a", file("four"))]));
    let kept = tree(&[("a", file("edited one")), ("a.1", file("edited two")), ("a.2", file("edited three"))]);
    assert_eq!(scene.kept(), kept);
}

/// What a user does after the decision and before the switch is not lost.
#[test]
fn what_is_changed_in_the_last_moment_is_kept() {
    let scene = Scene::new();
    scene.install(&tree(&[("a", file("one")), ("b", file("gone")), ("d", file("d"))]));
    let new = tree(&[("a", file("two")), ("c", file("three")), ("d", Node::Folder), ("d/e", file("e"))]);
    let (stage, _) = scene.stage(&new, false, false).expect("a stage");
    for (path, text) in [("a", "edited a"), ("b", "edited b"), ("c", "put there"), ("d", "edited d")] {
        std::fs::write(scene.target().join(path), text).expect("edited");
    }
    scene.finish(&stage, &Disk::system()).expect("switched");
    let mut left = new.clone();
    left.insert("b".into(), file("edited b"));
    assert_eq!(read(&scene.target()), left);
    let kept = tree(&[("a", file("edited a")), ("c", file("put there")), ("d", file("edited d"))]);
    assert_eq!(scene.kept(), kept);
}

/// What is believed without reading is only what has the recorded size and time.
#[test]
fn quick_believes_the_record() {
    let scene = Scene::new();
    scene.install(&tree(&[("a", file("one")), ("b", file("two"))]));
    // Changed by somebody who has put back the time: it is read, unless only size and time are to be looked at.
    let path = scene.target().join("a");
    let modified = std::fs::metadata(&path).and_then(|about| about.modified()).expect("a time");
    std::fs::write(&path, "ONE").expect("edited");
    std::fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(modified)).expect("a time");
    let kinds = |quick| {
        let changes = scene.changes(&tree(&[]), false, quick).expect("changes");
        changes.list.iter().map(|change| change.what).collect::<Vec<_>>()
    };
    assert_eq!(kinds(false), [ChangeKind::Kept, ChangeKind::Removed]);
    assert_eq!(kinds(true), [ChangeKind::Removed, ChangeKind::Removed]);
}

#[test]
fn an_unfinished_switch_shows() {
    let scene = Scene::new();
    scene.install(&tree(&[("a", file("one"))]));
    assert_eq!(switch::unfinished(&scene.around()), None);
    let (stage, _) = scene.stage(&tree(&[("a", file("two"))]), false, false).expect("a stage");
    assert_eq!(switch::unfinished(&scene.around()), Some(stage.clone()));
    scene.finish(&stage, &Disk::system()).expect("switched");
    assert_eq!(switch::unfinished(&scene.around()), None);
}

/// A file that says what is to be done and is damaged is not believed; nothing is done then.
#[test]
fn a_damaged_switch_does_nothing() {
    let scene = Scene::new();
    scene.install(&tree(&[("a", file("one"))]));
    let (stage, _) = scene.stage(&tree(&[("a", file("two"))]), false, false).expect("a stage");
    let path = stage.join("switch");
    let mut bytes = std::fs::read(&path).expect("the file");
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).expect("damaged");
    scene.finish(&stage, &Disk::system()).expect("nothing");
    assert_eq!(scene.events.paths("switch_damaged").len(), 1);
    assert_eq!(switch::unfinished(&scene.around()), None);
    assert_eq!(read(&scene.target()), tree(&[("a", file("one"))]));
}
