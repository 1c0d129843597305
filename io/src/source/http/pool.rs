//! What sources share: one thread with its runtime, one client with its connections, and what is known of each origin.
//! Sources with the same settings get the same pool; it ends, thread and sockets and all, with the last of them.

use std::sync::{Arc, Mutex, Weak};

use gosync_core::{Error, ErrorKind, Result};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::client::{Clients, Settings};
use super::limit::Limiter;
use super::origin::Origins;
use crate::source::pending::lock;

/// The pools that are in use, and the process that made them: threads do not survive a fork.
static POOLS: Mutex<Vec<(u32, Settings, Weak<Pool>)>> = Mutex::new(Vec::new());

/// A thread for HTTP. Ends when dropped.
pub(super) struct Pool {
    transport: Arc<Transport>,
    runtime: Handle,
    quit: Arc<Notify>,
}

/// What exchanges need of a pool.
pub(super) struct Transport {
    pub(super) clients: Clients,
    pub(super) origins: Origins,
    pub(super) limiter: Arc<Limiter>,
    /// Something is new for whoever waits to go on.
    pub(super) changed: Arc<Notify>,
    pub(super) connections: usize,
}

impl Pool {
    /// The pool with these settings; a new one if there is none.
    pub(super) fn of(settings: Settings) -> Result<Arc<Self>> {
        let process = std::process::id();
        let mut pools = lock(&POOLS);
        pools.retain(|(_, _, pool)| pool.strong_count() > 0);
        let same = pools.iter().find(|(maker, known, _)| *maker == process && *known == settings);
        if let Some(pool) = same.and_then(|(_, _, pool)| pool.upgrade()) {
            return Ok(pool);
        }
        let pool = Arc::new(Pool::start(&settings)?);
        pools.push((process, settings, Arc::downgrade(&pool)));
        Ok(pool)
    }

    fn start(settings: &Settings) -> Result<Self> {
        let changed: Arc<Notify> = Arc::default();
        let transport = Arc::new(Transport {
            clients: settings.clients()?,
            origins: Origins::new(settings.connections, Arc::clone(&changed)),
            limiter: Arc::new(Limiter::new(settings.rate_limit)),
            changed,
            connections: settings.connections,
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("gosync-http")
            .max_blocking_threads(settings.connections)
            .build()
            .map_err(no_thread)?;
        let quit: Arc<Notify> = Arc::default();
        let pool = Pool { transport, runtime: runtime.handle().clone(), quit: Arc::clone(&quit) };
        let serve = move || {
            runtime.block_on(quit.notified());
            // A name lookup may still hang in the system; it is not waited for.
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("gosync-http".into()).spawn(serve).map_err(no_thread)?;
        Ok(pool)
    }

    pub(super) fn transport(&self) -> &Arc<Transport> {
        &self.transport
    }

    /// Runs `task` in the pool's thread.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(task));
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.quit.notify_one();
    }
}

fn no_thread(cause: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot start a thread for HTTP: {cause}")).caused_by(cause)
}
