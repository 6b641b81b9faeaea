//! Serves a case's files by HTTP, on loopback, for as long as the case runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

/// A server of one folder. It notes every request in the file `requests` beside the folder.
pub(crate) struct Server {
    /// Host and port.
    pub(crate) address: String,
    ended: Arc<AtomicBool>,
}

impl Server {
    /// Starts to serve a folder, which may be made later.
    pub(crate) fn start(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let ended = Arc::new(AtomicBool::new(false));
        let until = ended.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if until.load(Ordering::Relaxed) {
                    return;
                }
                // A client that goes away is the case's business.
                let _ = stream.and_then(|stream| answer(stream, &folder));
            }
        });
        Self { address, ended }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the thread up.
        let _ = TcpStream::connect(&self.address);
    }
}

struct Request {
    method: String,
    path: String,
    condition: Option<String>,
    authorization: Option<String>,
}

fn read(stream: &TcpStream) -> std::io::Result<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = decode(target.split('?').next().unwrap_or_default());
    let mut request = Request { method, path, condition: None, authorization: None };
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "if-none-match" => request.condition = Some(value.to_owned()),
            "authorization" => request.authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    Ok(request)
}

fn decode(path: &str) -> String {
    let mut pieces = path.split('%');
    let mut out = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        out.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        out.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(out).unwrap()
}

/// Answers one request: with `PATH.answer` as it is where there is such a file, else with the file of that path.
fn answer(mut stream: TcpStream, folder: &Path) -> std::io::Result<()> {
    let request = read(&stream)?;
    let path = folder.join(request.path.trim_start_matches('/'));
    let mut raw = path.clone().into_os_string();
    raw.push(".answer");
    let (status, headers, body) = match (std::fs::read(raw), std::fs::read(&path)) {
        (Ok(raw), _) => {
            note(folder, &request, "as written");
            return stream.write_all(&raw);
        }
        _ if request.path.starts_with("/private/") && request.authorization.is_none() => {
            ("401 Unauthorized", String::new(), Vec::new())
        }
        (_, Ok(bytes)) => {
            let tag =
                format!("\"{:x}\"", u128::from_be_bytes(Sha256::digest(&bytes)[..16].try_into().unwrap()));
            let headers = format!("ETag: {tag}\r\nLast-Modified: Sat, 03 Feb 2001 04:05:06 GMT\r\n");
            let same = request.condition == Some(tag);
            if same { ("304 Not Modified", headers, Vec::new()) } else { ("200 OK", headers, bytes) }
        }
        _ => ("404 Not Found", String::new(), Vec::new()),
    };
    note(folder, &request, status);
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n")?;
    if request.method != "HEAD" {
        stream.write_all(&body)?;
    }
    stream.flush()?;
    // Closing with unread bytes would break the answer off.
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new()).map(drop)
}

fn note(folder: &Path, request: &Request, status: &str) {
    let Request { method, path, authorization, .. } = request;
    let authorization = authorization.as_ref().map(|value| format!(" ({value})")).unwrap_or_default();
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.with_file_name("requests"))
        .unwrap();
    writeln!(file, "{method} {path}{authorization}: {status}").unwrap();
}
