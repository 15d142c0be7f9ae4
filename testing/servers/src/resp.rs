//! Enough of the Redis protocol to look at a server and to tell it something.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than any command of a test takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends one command on a connection of its own; the reply as text, an array as lines. An error that
/// the server gives is the inner error, without the dash.
pub(crate) fn ask(
    address: &str,
    login: Option<(&str, &str)>,
    command: &[&str],
) -> io::Result<Result<String, String>> {
    let stream = TcpStream::connect_timeout(&address.parse().unwrap(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    if let Some((user, password)) = login {
        writer.write_all(&encoded(&["AUTH", user, password]))?;
        if let Err(refusal) = reply(&mut reader)? {
            return Ok(Err(refusal));
        }
    }
    writer.write_all(&encoded(command))?;
    reply(&mut reader)
}

fn encoded(command: &[&str]) -> Vec<u8> {
    let parts = command.iter().map(|part| format!("${}\r\n{part}\r\n", part.len()));
    let head = format!("*{}\r\n", command.len());
    std::iter::once(head).chain(parts).collect::<String>().into_bytes()
}

fn reply(reader: &mut impl BufRead) -> io::Result<Result<String, String>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).ok_or(io::ErrorKind::InvalidData)?;
    let number = || rest.parse::<i64>().map_err(|_not_a_number| io::ErrorKind::InvalidData);
    match kind {
        "-" => Ok(Err(rest.to_owned())),
        "$" => match usize::try_from(number()?) {
            Ok(length) => {
                let mut bytes = vec![0; length + 2];
                reader.read_exact(&mut bytes)?;
                bytes.truncate(length);
                Ok(Ok(String::from_utf8_lossy(&bytes).into_owned()))
            }
            Err(_no_value) => Ok(Ok(String::new())),
        },
        "*" => {
            let mut lines = Vec::new();
            for _ in 0..number()? {
                lines.push(reply(reader)?.unwrap_or_else(|refusal| refusal));
            }
            Ok(Ok(lines.join("\n")))
        }
        _ => Ok(Ok(rest.to_owned())),
    }
}
