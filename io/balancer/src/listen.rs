//! Listening sockets: one for each worker on one address, so that the kernel spreads connections.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;

/// Connections that wait until a worker takes them. The system's own limit (`somaxconn`) caps it.
const BACKLOG: i32 = 4096;

/// One listener that shares its port with nobody.
pub(crate) fn one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// So many listeners on one port.
///
/// Sockets that share a port would also share it with another process that does the same, and the
/// second balancer on a port would quietly take half of the visitors. So the port is first taken
/// alone, which fails if anybody has it.
pub(crate) fn many(address: SocketAddr, count: NonZeroUsize) -> io::Result<Vec<TcpListener>> {
    let alone = socket(address)?;
    let real = alone.local_addr()?.as_socket().unwrap_or(address);
    drop(alone);
    (0..count.get())
        .map(|_| {
            let socket = unbound(real)?;
            socket.set_reuse_port(true)?;
            socket.bind(&real.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect()
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = unbound(address)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn unbound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_shared_by_workers_and_with_nobody_else() {
        let two = NonZeroUsize::new(2).unwrap();
        let ours = many("127.0.0.1:0".parse().unwrap(), two).unwrap();
        let address = ours[0].local_addr().unwrap();
        assert_eq!(ours[1].local_addr().unwrap(), address);
        assert_eq!(many(address, two).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(one(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
