//! Two network namespaces with the slow link between them. They have no names and are held by a process each that ends
//! when this one does, however that is; with them go the devices, and what was started in them is told to end.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::link::{Line, Link};
use super::tun;
use crate::sh::{Result, Sh, fail, sh};

/// The server's address. The client has the one before.
pub(super) const SERVER: &str = "10.77.0.2";
const CLIENT: &str = "10.77.0.1";

/// What is done in a new namespace. No connection shall know what one before it has found out about the line, and
/// nothing but what is measured shall be on it.
const SETUP: &str = "echo 1 >/proc/sys/net/ipv4/tcp_no_metrics_save; echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6";

/// The programs that this needs.
pub(super) const PROGRAMS: &[&str] = &["ip", "unshare", "nsenter", "setpriv", "timeout"];

/// One namespace.
pub(super) struct Space {
    holder: Child,
}

impl Space {
    fn new() -> Result<Space> {
        // It waits for its input, which ends with this process.
        let holder =
            Command::new("unshare").args(["--net", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let space = Space { holder };
        let own = std::fs::read_link("/proc/self/ns/net")?;
        for _ in 0..500 {
            if std::fs::read_link(space.path()).is_ok_and(|path| path != own) {
                return Ok(space);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        fail("no network namespace can be made")
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// A run of this program in the namespace; it is told to end when this process (its thread) ends.
    pub(super) fn sh(&self, program: impl AsRef<std::ffi::OsStr>) -> Sh {
        sh("nsenter").arg(format!("--net={}", self.path())).args("setpriv --pdeathsig TERM").arg(program)
    }

    /// Gives it the device `name`, up and with this address.
    fn adopt(&self, name: &str, address: &str) -> Result<()> {
        sh("ip").args("link set").arg(name).arg("netns").arg(self.holder.id().to_string()).quiet().run()?;
        self.sh("sh").arg("-c").arg(SETUP).quiet().run()?;
        self.sh("ip").args("link set lo up").quiet().run()?;
        self.sh("ip").args("address add").arg(format!("{address}/24")).arg("dev").arg(name).quiet().run()?;
        self.sh("ip").args("link set").arg(name).args("mtu 1500 txqueuelen 2000 up").quiet().run()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Client and server, and what is between them.
pub(super) struct Spaces {
    pub(super) client: Space,
    pub(super) server: Space,
    pub(super) link: Link,
}

impl Spaces {
    pub(super) fn new(line: &Line) -> Result<Spaces> {
        let (client, server) = (Space::new()?, Space::new()?);
        let ((client_end, client_name), (server_end, server_name)) = (tun::open()?, tun::open()?);
        client.adopt(&client_name, CLIENT)?;
        server.adopt(&server_name, SERVER)?;
        Ok(Spaces { client, server, link: Link::join(client_end, server_end, line)? })
    }
}

/// Why it cannot be done here, if it cannot.
pub(super) fn obstacle() -> Option<String> {
    if !Path::new("/dev/net/tun").exists() {
        return Some("there is no /dev/net/tun".to_owned());
    }
    let missing: Vec<_> = PROGRAMS.iter().filter(|program| crate::sh::which(program).is_none()).collect();
    if !missing.is_empty() {
        return Some(format!("not installed: {missing:?}"));
    }
    let space = sh("unshare").args("--net true").read();
    space.err().map(|stop| format!("no network namespace can be made, which takes root: {stop}"))
}
