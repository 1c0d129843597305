//! Ctrl-C: the first asks the work to stop, the second ends the program at once.

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
}
