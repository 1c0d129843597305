//! Servers that people have, started for one test: nginx as Debian packages it (over HTTP, over HTTPS with HTTP/2, and as
//! a caching proxy before itself) and Python's static file server, which knows no ranges. Each in a folder of its own, on
//! free ports, without root. They end with their value, and if the test is killed, with the thread that started them.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(30);

/// A process that serves.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has nothing to save.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts it and waits until something listens on every port; `None` if it ends before, as where another has taken
    /// a port meanwhile.
    #[track_caller]
    fn start(command: &mut Command, ports: &[u16]) -> Option<Running> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = Running(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")));
        let end = Instant::now() + START;
        while Instant::now() < end {
            if running.0.try_wait().is_ok_and(|ended| ended.is_some()) {
                return None;
            }
            if ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()) {
                return Some(running);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{command:?} does not listen on {ports:?}");
    }
}

/// Ports that nothing listens on now.
fn free_ports<const N: usize>() -> [u16; N] {
    // All open at once, so that they differ.
    let sockets = [(); N].map(|()| TcpListener::bind(("127.0.0.1", 0)).expect("a free port"));
    sockets.map(|socket| socket.local_addr().expect("an address").port())
}

/// A command that is told to end when the thread that starts it ends.
fn bound(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]).arg(program);
    command
}

/// Where a program is, in PATH or where Debian keeps servers. Where `CI` is `true`, it has to be somewhere.
#[track_caller]
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = folders.map(|folder| folder.join(program)).find(|file| file.is_file());
    let strict = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(found.is_some() || !strict, "{program} is not installed (cargo xtask setup installs it)");
    if found.is_none() {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// How often a server is started anew because another process has taken its port.
const TRIES: u32 = 5;

/// A running nginx: a site, and a proxy before it.
pub struct Nginx {
    http: u16,
    https: u16,
    proxy: u16,
    folder: PathBuf,
    _running: Running,
}

/// One answer that nginx has written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Which server: `http`, `https` or `proxy`.
    pub server: String,
    /// The protocol, for instance `HTTP/2.0`.
    pub protocol: String,
    /// The request's path, as it was sent.
    pub path: String,
    /// The answer's status.
    pub status: u16,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// The number of the connection.
    pub connection: u64,
}

/// Requests after which nginx ends an HTTPS connection. Its own default is a thousand, which a large update reaches.
pub const HTTPS_REQUESTS: usize = 20;

impl Nginx {
    /// Serves `site`; what nginx writes goes to `folder`. `None`, and a line that says why, where there is no nginx.
    #[track_caller]
    pub fn start(site: &Path, folder: &Path) -> Option<Nginx> {
        let program = find("nginx")?;
        std::fs::create_dir_all(folder).expect("a folder");
        certificates(folder);
        for _ in 0..TRIES {
            let [http, https, proxy] = free_ports();
            let config = folder.join("nginx.conf");
            std::fs::write(&config, configuration(site, folder, [http, https, proxy])).expect("a file");
            let mut command = bound(&program);
            command.arg("-p").arg(folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(config);
            if let Some(running) = Running::start(&mut command, &[http, https, proxy]) {
                return Some(Nginx { http, https, proxy, folder: folder.to_owned(), _running: running });
            }
        }
        panic!("nginx: {}", std::fs::read_to_string(folder.join("error.log")).unwrap_or_default());
    }

    /// A file's URL over HTTP/1.1.
    pub fn http(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.http)
    }

    /// A file's URL over HTTPS, with HTTP/2 for who knows it.
    pub fn https(&self, name: &str) -> String {
        format!("https://127.0.0.1:{}/{name}", self.https)
    }

    /// A file's URL by way of the proxy, which keeps slices of 64 KiB.
    pub fn proxy(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.proxy)
    }

    /// The certificate of the authority that has signed the server's.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// What was answered since the last call.
    pub fn take_answers(&self) -> Vec<Answered> {
        // nginx writes a line when an answer is sent, which may be after the client has read it.
        std::thread::sleep(Duration::from_millis(100));
        let path = self.folder.join("access.log");
        let text = std::fs::read_to_string(&path).expect("the log");
        std::fs::File::options().write(true).open(&path).and_then(|file| file.set_len(0)).expect("the log");
        let answered = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let [server, protocol, path, status, bytes, connection] = words[..] else { panic!("{line}") };
            let number = |word: &str| word.parse::<u64>().unwrap_or_else(|error| panic!("{line}: {error}"));
            let (server, protocol, path) = (server.to_owned(), protocol.to_owned(), path.to_owned());
            let (status, bytes, connection) = (number(status) as u16, number(bytes), number(connection));
            Answered { server, protocol, path, status, bytes, connection }
        };
        text.lines().map(answered).collect()
    }
}

/// One process, so that its end is the end of all; nothing outside of its folder.
fn configuration(site: &Path, folder: &Path, [http, https, proxy]: [u16; 3]) -> String {
    let (site, folder) = (site.display(), folder.display());
    format!(
        "daemon off; master_process off; pid {folder}/nginx.pid;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n\
         sendfile on; tcp_nopush on; default_type application/octet-stream; root {site};\n\
         client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;\n\
         uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
         log_format answers '$server_name $server_protocol $request_uri $status $body_bytes_sent $connection';\n\
         access_log {folder}/access.log answers;\n\
         proxy_cache_path {folder}/cache keys_zone=slices:1m;\n\
         server {{ server_name http; listen 127.0.0.1:{http}; }}\n\
         server {{ server_name https; listen 127.0.0.1:{https} ssl http2; keepalive_requests {HTTPS_REQUESTS};\n\
         ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key; }}\n\
         server {{ server_name proxy; listen 127.0.0.1:{proxy};\n\
         location / {{ slice 64k; proxy_cache slices; proxy_cache_key $uri$slice_range; proxy_cache_valid 200 206 1h;\n\
         proxy_set_header Range $slice_range; proxy_http_version 1.1;\n\
         proxy_cache_lock on; proxy_pass http://127.0.0.1:{http}; }} }}\n\
         }}\n"
    )
}

/// An authority of our own and the server's certificate.
fn certificates(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    let files = [("ca.pem", authority.pem()), ("server.pem", certificate.pem()), ("server.key", key.serialize_pem())];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("a file");
    }
}

/// Python's static file server.
pub struct Python {
    port: u16,
    _running: Running,
}

impl Python {
    /// Serves `site`. `None`, and a line that says why, where there is no Python.
    #[track_caller]
    pub fn start(site: &Path) -> Option<Python> {
        let program = find("python3")?;
        for _ in 0..TRIES {
            let [port] = free_ports();
            let mut command = bound(&program);
            command.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"]).arg(site).arg(port.to_string());
            if let Some(running) = Running::start(&mut command, &[port]) {
                return Some(Python { port, _running: running });
            }
        }
        panic!("python3 -m http.server does not start");
    }

    /// A file's URL.
    pub fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }
}
