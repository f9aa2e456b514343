//! A server with a few stocks, and clients that talk to it.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use socket2::{Domain, Socket, Type};
use stockd_engine::{Access, Engine, Executor};
use stockd_model::{Address, Edit, Fields, Reply, Request, Status, Volume};
use stockd_server::{Config, Endpoint, Metrics, Protocol, Server};
use tempfile::TempDir;

use crate::WAY;
use crate::awaiting::{PATIENCE, wait_until};

/// The kinds of socket that the suite is run over.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "each suite has one")]
pub(crate) enum Way {
    /// The loopback interface.
    Tcp,
    /// A Unix socket in a directory of its own.
    Unix,
}

/// A running server over an engine that lists AAPL 172.5, IBM 159, BRK/A 743500 and 牛来USDT
/// 0.0005, beside SOLDOUT without volume and HALTED.
pub(crate) struct Market {
    pub(crate) engine: Arc<Engine>,
    pub(crate) server: Server,
    /// Where its socket is, if that has a file.
    _directory: TempDir,
}

impl Market {
    /// A server that leaves each client its own unread replies and no more.
    pub(crate) fn open(workers: usize) -> Market {
        Market::with(Config { workers, unread_replies_max: 0, ..Config::default() })
    }

    /// A server of this configuration, but on a free port or path.
    pub(crate) fn with(mut config: Config) -> Market {
        let engine = Arc::new(Engine::default());
        let mut executor = engine.executor();
        for (name, price, volume, status) in [
            ("AAPL", "172.50", 100, Status::Trading),
            ("IBM", "159.00", 100, Status::Trading),
            ("BRK/A", "743500.00", 1, Status::Trading),
            ("牛来USDT", "0.0005", 1_000_000, Status::Trading),
            ("SOLDOUT", "10", 0, Status::Trading),
            ("HALTED", "10", 100, Status::Halted),
        ] {
            let fields = Fields {
                price: Edit::Set(price.parse().unwrap()),
                volume: Edit::Set(Volume::new(volume)),
                status: Some(status),
                ..Fields::default()
            };
            let reply = set(&mut executor, name, fields);
            assert!(matches!(reply, Reply::Listed(_)));
        }
        let directory = tempfile::tempdir().unwrap();
        let address: Address = match WAY {
            Way::Tcp => SocketAddr::from(([127, 0, 0, 1], 0)).into(),
            Way::Unix => format!("unix:{}/line", directory.path().display()).parse().unwrap(),
        };
        config.endpoints = vec![Endpoint::plain(Protocol::Line, address)];
        let server = Server::start(config, Arc::clone(&engine)).unwrap();
        Market { engine, server, _directory: directory }
    }

    pub(crate) fn address(&self) -> Address {
        let [endpoint] = self.server.endpoints() else {
            panic!("not one endpoint: {:?}", self.server.endpoints());
        };
        endpoint.address.clone()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.address())
    }

    /// A client whose system takes few bytes that it has not read.
    pub(crate) fn client_with_small_window(&self) -> Client {
        let Some(address) = self.address().tcp() else {
            // The server's own socket bounds it.
            return self.client();
        };
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.connect(&address.into()).unwrap();
        socket.set_tcp_nodelay(true).unwrap();
        Client::new(socket.into())
    }

    /// Waits until the server's numbers are as they should become.
    pub(crate) fn wait_until(&self, reached: impl Fn(&Metrics) -> bool) -> Metrics {
        wait_until(&self.server, reached)
    }
}

/// Lists or updates a stock.
pub(crate) fn set(executor: &mut Executor, name: &str, fields: Fields) -> Reply {
    let request = Request::Set(name.parse().unwrap(), fields);
    executor.batch(&Access::All).execute(&request)
}

/// Connects to either kind of socket. What the tests do with a stream of TCP the system does for any
/// other in the same way.
pub(crate) fn connect(address: &Address) -> std::io::Result<TcpStream> {
    match address {
        Address::Tcp(address) | Address::Tls { address, .. } => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            Ok(stream)
        }
        Address::Unix(path) => Ok(OwnedFd::from(UnixStream::connect(&**path)?).into()),
    }
}

/// A client that gives up, and fails its test, when the server keeps it waiting for ever.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: &Address) -> Client {
        Client::new(connect(address).unwrap())
    }

    fn new(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream: BufReader::new(stream) }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// The next reply line, without its newline.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        assert_eq!(line.pop(), Some('\n'), "the stream ended in {line:?}");
        line
    }

    /// Asks one symbol in a line.
    pub(crate) fn ask(&mut self, name: &str) -> String {
        self.send(format!("{name}\n"));
        self.line()
    }

    /// Asks one symbol without a newline, and waits for what comes in one read.
    pub(crate) fn ask_unterminated(&mut self, name: &str) -> String {
        self.send(name);
        let mut reply = [0; 64];
        let bytes = self.stream.read(&mut reply).unwrap();
        String::from_utf8(reply[..bytes].to_vec()).unwrap()
    }

    /// Appends what has come, waiting for at least a byte. False when the connection is over.
    pub(crate) fn read_some(&mut self, received: &mut Vec<u8>) -> bool {
        let bytes = match self.stream.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => &[],
            Err(error) => panic!("{error}"),
        };
        received.extend_from_slice(bytes);
        let count = bytes.len();
        self.stream.consume(count);
        count > 0
    }

    pub(crate) fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let expected = bytes.as_ref();
        let mut received = vec![0; expected.len()];
        self.stream.read_exact(&mut received).unwrap();
        assert_eq!(String::from_utf8_lossy(&received), String::from_utf8_lossy(expected));
    }

    /// Says that nothing more will be sent.
    pub(crate) fn end(&mut self) {
        self.socket().shutdown(Shutdown::Write).unwrap();
    }

    /// All that comes until the server closes.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
        String::from_utf8(rest).unwrap()
    }

    /// All that comes until the connection is over, closed or reset.
    pub(crate) fn rest_until_reset(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        while self.read_some(&mut rest) {}
        rest
    }
}

/// A long list of requests and the replies to it, some thousand different ones in a row.
pub(crate) fn long_conversation(requests: usize) -> (Vec<u8>, Vec<u8>) {
    let exchanges = [
        ("AAPL", "172.5"),
        ("XYZ", "-1"),
        ("BRK/A", "743500"),
        ("SOLDOUT", "0"),
        ("牛来USDT", "0.0005"),
        ("HALTED", "0"),
        ("IBM", "159"),
    ];
    let mut asked = Vec::new();
    let mut replies = Vec::new();
    for (request, reply) in exchanges.iter().cycle().take(requests) {
        asked.extend_from_slice(request.as_bytes());
        asked.push(b'\n');
        replies.extend_from_slice(reply.as_bytes());
        replies.push(b'\n');
    }
    (asked, replies)
}
