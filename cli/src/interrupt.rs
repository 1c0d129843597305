//! Signals. Ctrl-C: the first asks the work to stop, the second ends the program at once. A file that grows beyond the limit
//! of its user (`ulimit -f`) is an error like that of a full disk, and no reason to die.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gosync_io::Cancel;

use crate::exit;
use crate::ui::Ui;

/// Lets Ctrl-C trigger `cancel`. Where the system refuses a handler, Ctrl-C keeps its plain meaning.
pub(crate) fn install(cancel: &Cancel, ui: &Arc<Ui>) {
    let (cancel, teller, asked) = (cancel.clone(), Arc::clone(ui), AtomicBool::new(false));
    let installed = ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::Relaxed) {
            std::process::exit(exit::CANCELLED.into());
        }
        cancel.cancel();
        teller.note("cancelling; press Ctrl-C again to stop at once");
    });
    if let Err(cause) = installed {
        ui.debug("no_interrupt_handler", &format!("Ctrl-C will stop the program without cleaning up: {cause}"));
    }
    #[cfg(unix)]
    // Once somebody takes the signal, whoever it was, the write itself fails.
    if let Err(cause) = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()) {
        ui.debug("no_size_handler", &format!("a limit on the size of files will end the program: {cause}"));
    }
}
