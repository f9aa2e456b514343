//! Every bound of stockd, in one place.
//!
//! Each limit says what happens when it is reached. Limits marked *default* can be set in the
//! configuration of the server; the others are part of the formats and do not move.

use std::time::Duration;

/// Bytes in a symbol, at most. A longer name is not a possible symbol: lookups answer "not
/// found", writes are refused.
pub const SYMBOL_BYTES_MAX: usize = 48;

/// Bytes of a foreign text that an error message or a log line shows, escapes included. An ellipsis
/// stands for the rest.
pub const EXCERPT_BYTES_MAX: usize = 120;

/// Decimal places of a price or volume. One with more places that are not zero is refused, never
/// rounded.
pub const DECIMAL_PLACES_MAX: u8 = 18;

/// Bytes of one line of the line protocol without its line end. More without a newline closes
/// the connection.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// How long the very first bytes of a line-protocol connection may lack a newline before the
/// connection counts as unterminated.
pub const UNTERMINATED_AFTER: Duration = Duration::from_millis(1);

/// The same for a client of a host whose latest client was unterminated: what was sent together, and
/// cut on its way, still comes together.
pub const UNTERMINATED_AFTER_KNOWN: Duration = Duration::from_micros(100);

/// Bytes of the header that a proxy sends before its client's, at most. A longer one is an error and
/// ends the connection.
pub const PROXY_HEADER_BYTES_MAX: usize = 4096;

/// Bytes in a file of certificates or keys. A longer one is an error.
pub const CERTIFICATE_FILE_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a record of TLS, its header included, at most (RFC 8446, 5.2). A longer one ends the connection.
pub const TLS_RECORD_BYTES_MAX: usize = 5 + 16 * 1024 + 256;

/// Bytes of TLS records that are kept until the rest of them comes: a record of 16 KiB, or the parts of a
/// message of the handshake, which has 64 KiB at most. A client that needs more is closed.
pub const TLS_PARTIAL_BYTES_MAX: usize = 80 * 1024;

/// How long a client may take for the handshake of TLS. Then it is closed.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Clients of one worker that are in the handshake of TLS at once. When one more comes, the one that came
/// first and has not ended it is closed.
pub const TLS_HANDSHAKES_MAX: usize = 4096;

/// Work that a turn with a part of the handshake counts as: it is for the slices of heavy connections.
pub const TLS_HANDSHAKE_WORK: usize = 1024;

/// Names in a client's certificate that are looked at. Others count as not there.
pub const CERTIFICATE_NAMES_MAX: usize = 64;

/// How long before a certificate expires the log begins to say so.
pub const CERTIFICATE_EXPIRY_WARNING: Duration = Duration::from_secs(21 * 86_400);

/// How long the log is silent of a certificate that ends soon before it says so again.
pub const CERTIFICATE_SAY_INTERVAL: Duration = Duration::from_secs(86_400);

/// How often files that may change while the server runs are looked at.
pub const FILES_LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// How long a TCP connection may be silent before the system asks the other end whether it is still
/// there; and how soon it asks again, and how often, before it gives the connection up.
pub const KEEPALIVE_AFTER: Duration = Duration::from_secs(300);
/// See [`KEEPALIVE_AFTER`].
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// See [`KEEPALIVE_AFTER`].
pub const KEEPALIVE_RETRIES: u32 = 3;

/// Hosts that are known to have unterminated clients, at most: 8 bytes each. Others take their
/// places.
pub const UNTERMINATED_PEERS_MAX: usize = 4096;

/// Bytes of replies that may wait for one client in any case. Beyond it a client that sends many
/// requests before it reads draws on a budget that all share ([`UNREAD_REPLIES_MAX`] unless it is
/// set), and may hold as much as is left of it. Then the server stops reading from that client until
/// it has read its replies.
pub const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// How long a client may leave waiting replies unread, without progress, before it is closed
/// (*default*).
pub const STALLED_CLIENT_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the bytes of a request may wait for the rest of it, before the client is told so and
/// closed.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of replies that may wait for all clients together before each is bounded by
/// [`OUTPUT_BYTES_MAX`], unless it is set.
pub const UNREAD_REPLIES_MAX: usize = 256 * 1024 * 1024;

/// Memory that all connections hold together, at least, unless it is set (*default*): a quarter of
/// what the system or the control group of the process allows is more on most machines. From seven
/// eighths of the limit on, commands that would take more are refused and replies wait only up to
/// [`OUTPUT_BYTES_SCARCE`]; above the limit those are closed that hold the most.
pub const MEMORY_MIN: usize = 64 * 1024 * 1024;

/// The least that the memory of all connections can be set to: what one of them may need.
pub const MEMORY_FLOOR: usize = 1024 * 1024;

/// Bytes of replies that wait for one client while memory is scarce. Beyond it the client is not
/// read until it has taken them.
pub const OUTPUT_BYTES_SCARCE: usize = 16 * 1024;

/// By how much a worker's memory differs, at most, from what the others know of it.
pub const MEMORY_STEP: usize = 64 * 1024;

/// Bytes that a worker keeps for encoding replies. A buffer that was larger for once is given back.
pub const REPLY_BUFFER_BYTES: usize = 256 * 1024;

/// How often a worker says in the log that it closes connections for want of memory, at most.
pub const MEMORY_LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Connections open at once (*default*). A further client is told so and closed.
pub const CONNECTIONS_MAX: usize = 50_000;

/// Accepted connections that wait for a worker. When the queue is full a further client is told so
/// and closed.
pub const WORK_QUEUE_MAX: usize = 1024;

/// Worker threads, at most.
pub const WORKERS_MAX: usize = 1024;

/// Addresses that one protocol is spoken at, at most.
pub const LISTEN_ADDRESSES_MAX: usize = 16;

/// Bytes in the path of a Unix socket, at most: what the system's address of a socket has room for,
/// with the zero behind it. A longer path is refused.
pub const SOCKET_PATH_BYTES_MAX: usize =
    if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

/// How long the acceptor waits for room in a full work queue before it turns a client away. A
/// burst of new clients passes in that time; meanwhile the others wait in the kernel's backlog.
pub const WORK_QUEUE_PATIENCE: Duration = Duration::from_millis(100);

/// Connections that wait in the kernel to be accepted, at most. The system may allow fewer
/// (`net.core.somaxconn` on Linux).
pub const ACCEPT_BACKLOG: usize = 4096;

/// Connections accepted from one listener before the others have their turn.
pub const ACCEPT_BATCH: usize = 64;

/// How long the acceptor pauses when the system has no file or memory left for another
/// connection.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Open files that the connection limit leaves for everything else: listeners, readiness queues,
/// catalog files, the log.
pub const FILES_RESERVED: usize = 64;

/// Bytes read from one connection before the others have their turn.
pub const READ_BYTES_MAX: usize = 16 * 1024;

/// Work of one connection's turn, besides plain lookups, which count by the bytes read. A unit is
/// about what it takes to look at one row of the catalog, 50 ns. What is left of a command, and all
/// that the client asks behind it, goes on in the connection's next turn, after all others.
pub const TURN_WORK: usize = 4096;

/// Work of a turn of a connection that was quick in its turn before. One that has more to do is heavy:
/// it goes on when all quick ones had their turns, with [`TURN_WORK`], as long as the pass has time
/// for heavy ones.
pub const QUICK_WORK: usize = 128;

/// Bytes that such a turn reads. Who has sent more is heavy as well.
pub const QUICK_READ_BYTES: usize = 2 * 1024;

/// Bytes read that count as one unit of work.
pub const READ_BYTES_PER_WORK: usize = 16;

/// Bytes made and written that count as one unit of work.
pub const WRITTEN_BYTES_PER_WORK: usize = 16;

/// How long heavy connections have their turns in one pass of a worker, at least. It is as long as
/// the rest of the pass took up to [`HEAVY_SLICE_MAX`]. The others come in the next passes.
pub const HEAVY_SLICE_MIN: Duration = Duration::from_millis(1);

/// How long heavy connections have their turns in one pass of a worker, at most, but for the end of the
/// turn that is under way.
pub const HEAVY_SLICE_MAX: Duration = Duration::from_millis(5);

/// Work that a step of a command may always do, however little is left of its turn.
pub const TURN_WORK_MIN: usize = 64;

/// Work that a page of the catalog (`SCAN`, `SNAPSHOT`) may always take, so that a small catalog is one
/// page however little is left of the turn.
pub const PAGE_WORK_MIN: usize = 1024;

/// Connections that a worker takes from the work queue in one pass. The others come in its next ones,
/// unless other workers take them.
pub const TAKES_PER_PASS: usize = 64;

/// Connections that a worker looks at in one pass for those that have let a timeout pass. The others
/// come in the next ones.
pub const SWEEP_CONNECTIONS: usize = 1024;

/// Of this many turns of a worker one is timed, command by command. A prime, so that of a client which gives the
/// same commands again and again each is timed some time.
pub const TURNS_PER_TIMED: u32 = 61;

/// Connections that a worker closes in one pass because a timeout has passed, for want of memory, or because
/// another client kills them.
/// The others come in the next ones.
pub const CLOSES_PER_PASS: usize = 64;

/// Lookups of one connection that are decoded before the first of them is answered, so that their
/// rows are on the way from memory at the same time.
pub const LOOKUPS_TOGETHER_MAX: usize = 16;

/// Connections that one wakeup of a worker learns about. The others come with the next one.
pub const EVENTS_MAX: usize = 1024;

/// How often a worker looks for stalled and idle clients, or more often where their timeouts are
/// shorter. Not at all while there can be none.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How long the server waits, after it has said all it has to say and has closed its direction,
/// for the client to close too. Closing at once could destroy replies on their way.
pub const LINGER_TIMEOUT: Duration = Duration::from_millis(250);

/// Bytes that the server reads and discards from a client while it waits for it to close.
pub const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Stocks listed at once. A further listing is refused; everything else goes on.
pub const STOCKS_MAX: usize = 16_777_216;

/// Bytes of the next block of the catalog that are faulted in before a stop of the engine is noticed.
pub const GROWTH_SLICE_BYTES: usize = 2 * 1024 * 1024;

/// From the signal to stop until the process has answered what was asked and exits, at most.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The part of [`SHUTDOWN_TIMEOUT`] that is kept for the exit itself: replies that a client has
/// not taken by then are given up.
pub const SHUTDOWN_MARGIN: Duration = Duration::from_secs(1);

/// Bytes of one line of a catalog file or a list of names, at most. A longer line is a bad row.
pub const CATALOG_LINE_BYTES_MAX: usize = 64 * 1024;

/// Bytes at the beginning of a catalog file from which its format, delimiter and decimal mark are seen. What
/// comes later does not change them.
pub const CATALOG_SAMPLE_BYTES: usize = 64 * 1024;

/// Rows of a catalog file for which room is made before they are read, by the size of the file. For more, room is
/// made as they come.
pub const CATALOG_ROWS_EXPECTED_MAX: usize = 4 << 20;

/// Bytes of one reply line that the client library accepts. A longer one is no reply of this
/// protocol, and the client gives the connection up.
pub const REPLY_LINE_BYTES_MAX: usize = 1024;

/// Names that the client library sends in one write. Two such chunks may wait for their replies,
/// which is far below [`OUTPUT_BYTES_MAX`]: the server never stops reading because of them.
pub const PIPELINE_NAMES_MAX: usize = 512;

/// Bytes of requests that the client library sends in one write. A longer name goes alone.
pub const PIPELINE_BYTES_MAX: usize = 16 * 1024;

/// The most that the number of connections can be set to: 2²⁰, what Linux lets one process open
/// unless told otherwise.
pub const CONNECTIONS_CEILING: usize = 1024 * 1024;

/// The longest time that a timeout can be set to: 30 days. Switch it off to wait for ever.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Bad rows of a catalog file that are shown one by one, at most. The others are counted.
pub const CATALOG_BAD_ROWS_SHOWN_MAX: usize = 10;

/// Bytes of one part of a RESP command. A longer one is a protocol error and closes the
/// connection.
pub const RESP_BULK_BYTES_MAX: usize = 64 * 1024;

/// Parts of one RESP command, its name among them. More are a protocol error and close the
/// connection.
pub const RESP_ARRAY_PARTS_MAX: usize = 1_048_576;

/// Bytes of one inline RESP command without its line end. A longer one is a protocol error and
/// closes the connection.
pub const RESP_INLINE_BYTES_MAX: usize = 64 * 1024;

/// Parts of one RESP command that is executed as a whole, its name among them. One with more is
/// refused; `MSET` has [`TRANSACTION_COMMANDS_MAX`] pairs. Commands over any number of stocks (`MGET`, `DEL`…) are executed part by part and
/// have [`RESP_ARRAY_PARTS_MAX`].
pub const RESP_COMMAND_PARTS_MAX: usize = 128;

/// Bytes of one RESP command that is executed as a whole, as it is sent. A longer one is refused.
pub const RESP_COMMAND_BYTES_MAX: usize = 128 * 1024;

/// Bytes of a pattern (`KEYS`, `SCAN`, `PSUBSCRIBE`). A longer one is refused.
pub const PATTERN_BYTES_MAX: usize = 256;

/// Stocks that one `SCAN` is asked to look at. A larger `COUNT` counts as this one.
pub const SCAN_COUNT_MAX: usize = 4096;

/// Rows of the catalog that one `SCAN` reads to find its stocks, at least, and twice its count if that is
/// more. Where they hold fewer stocks it answers those, and where to go on.
pub const SCAN_ROWS: usize = 8192;

/// Stocks that `KEYS` lists at once. Where more match it is refused; `SCAN` has no such limit.
pub const KEYS_MAX: usize = 100_000;

/// Bytes of a name or library name that a client gives its connection. A longer one is refused.
pub const CLIENT_NAME_BYTES_MAX: usize = 512;

/// Bytes that a session keeps of a request that has not come whole, beyond one read.
pub const UNDECODED_BYTES_MAX: usize = RESP_COMMAND_BYTES_MAX;

/// Bytes of messages that wait for one subscriber. Beyond it, news waits as marks and becomes
/// messages when the client has read what it was sent.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Bytes that the system keeps for a subscriber without having sent them. Beyond it, news waits as
/// marks, and the subscriber gets fewer and newer quotes.
pub const SUBSCRIBER_UNSENT_BYTES: usize = 16 * 1024;

/// Bytes that the system of a subscriber keeps unread, where the client library is used: as few as a
/// reader at full speed needs.
pub const SUBSCRIBER_UNREAD_BYTES: usize = 32 * 1024;

/// Work of one slice of passing marks on, before the connections have their turns: a unit is a
/// pattern that a symbol is compared with or a subscriber it is marked for, and a symbol is eight. The rest comes later.
pub const FEED_PASS_WORK: usize = 8 * 1024;

/// Slices of passing marks on after which subscribers are told, where not all is passed on by then that was taken from
/// the writers together. Fewer make smaller writes: a subscriber is told at once what these have marked.
pub const FEED_SLICES_TOGETHER: usize = 16;

/// From this number of subscribers told in one round of a worker on they are a crowd: what changes is gathered until
/// each has had its turn, and at least for [`FEED_GATHER`], before the next round begins.
pub const FEED_CROWD: usize = 32;

/// For how long at least a worker gathers what changes after it has told a crowd: a message may be older by this much.
pub const FEED_GATHER: Duration = Duration::from_micros(500);

/// Where it takes longer to give a crowd its turns, the worker rests afterwards for as long as it took beyond this, so that
/// readers who cannot keep up are told less and not later.
pub const FEED_CROWD_ROUND: Duration = Duration::from_millis(5);

/// A round of marks and messages that took less is followed by the next one at once, where it has told no crowd.
pub const FEED_REST_MIN: Duration = Duration::from_micros(100);

/// Work of telling one subscriber in one turn: a unit is a row of the catalog looked at or a pattern
/// compared, and a message is eight. The rest comes in its next turn.
pub const FEED_TELL_WORK: usize = 4096;

/// Work of one slice of tidying up: a unit is a mark or symbol that is forgotten or looked at, and a
/// subscription is sixteen. The rest comes later.
pub const FEED_TIDY_WORK: usize = 2048;

/// Quotes that a feed keeps encoded for all its subscribers. One that is not among them is encoded
/// again.
pub const FEED_PAYLOADS: usize = 1024;

/// Bytes of patterns that a write compares its symbol with to find out who wants it. Where more
/// begin like the symbol, they all count as fitting, and the reader compares.
pub const INTEREST_PATTERN_BYTES_MAX: usize = 512;

/// Cells in the filter of what a worker or another plane watches: 256 KiB each, once something is
/// watched.
pub const INTEREST_FILTER_CELLS: usize = 65_536;

/// Distinct patterns of a process that begin with a wildcard, but for `*` itself. They cannot be
/// found by their first letters, so each is compared with every symbol that changes. A further one
/// is refused.
pub const UNINDEXED_PATTERNS_MAX: usize = 1024;

/// Symbols and patterns that one connection is subscribed to. A further one is refused.
pub const SUBSCRIPTIONS_MAX: usize = 65_536;

/// Patterns among them. Each is compared with the symbols that its subscriber is told. A further
/// one is refused.
pub const PATTERNS_MAX: usize = 1024;

/// Stocks that one connection has read and is to be told of when they change (`CLIENT TRACKING`). With a
/// further one it is told to forget the one that it read longest ago.
pub const TRACKED_STOCKS_MAX: usize = 65_536;

/// Rows of the catalog that are read at once for the stocks of new patterns.
pub const SUBSCRIPTION_PAGE_ROWS: usize = 256;

/// Bytes of one whole RESP reply that the client library accepts, with all its parts. A longer
/// one is given up with its connection.
pub const RESP_REPLY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Arrays within arrays of one RESP reply that the client library accepts.
pub const RESP_REPLY_NESTING_MAX: usize = 8;

/// How long a subscription of the client library waits before it first connects again. The pause
/// doubles with each failure, up to [`RECONNECT_PAUSE_MAX`].
pub const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause between two attempts of a subscription to connect again.
pub const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(10);

/// Connections that an asynchronous client has for requests at once. A further request waits, within its deadline,
/// until one is free; each watch has a connection of its own beside them.
pub const HTTP_CLIENT_CONNECTIONS_MAX: usize = 32;

/// How long an asynchronous client keeps a connection that is not used: less than the server does.
pub const HTTP_CLIENT_IDLE_MAX: Duration = Duration::from_secs(30);

/// Bytes of an answer that an asynchronous client reads. A longer one is an error.
pub const HTTP_CLIENT_REPLY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of a line of a snapshot, and of an event of a watch, that an asynchronous client reads. A longer one is an error.
pub const HTTP_CLIENT_LINE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a name that an asynchronous client asks about. A longer one is not listed, whatever is around the symbol.
pub const HTTP_CLIENT_NAME_BYTES_MAX: usize = 1024;

/// Names that one request of an asynchronous client asks about. Further ones go into another request.
pub const HTTP_CLIENT_NAMES_TOGETHER: usize = 4096;

/// Updates of one request of an asynchronous client: as many as are told one by one where they are refused. Further ones go
/// into another request.
pub const HTTP_CLIENT_UPDATES_TOGETHER: usize = HTTP_REFUSED_SHOWN_MAX;

/// How long a watch of an asynchronous client hears nothing before it doubts the connection: three heartbeats. It ends it
/// when nothing comes for the timeout of the client beyond that.
pub const WATCH_SILENCE_MAX: Duration = STREAM_HEARTBEAT.saturating_mul(3);

/// Snapshots of the catalog that are read at once. A further one is refused until one has ended, or
/// was not read for [`SNAPSHOT_PAGE_TIMEOUT`].
pub const SNAPSHOTS_MAX: usize = 4;

/// How long a snapshot may lie without a page being read before it is ended, when a further one is
/// begun and there are [`SNAPSHOTS_MAX`].
pub const SNAPSHOT_PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that writes save for all snapshots together, or as many as the rows of the catalog take where that is more
/// (134 for a stock, of five million 640 MiB). When it is reached the snapshot that holds the most is ended.
pub const SNAPSHOT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Rows of the catalog that are read at once for a page of a snapshot.
pub const SNAPSHOT_PAGE_ROWS: usize = 2048;

/// Requests of one worker that wait for the disk. Beyond it a connection that already waits is not
/// read further; one that does not yet wait may have one more request wait.
pub const COMMIT_QUEUE_REQUESTS_MAX: usize = 16 * 1024;

/// How long a worker has to have served nothing but writes before it commits one itself, in place of the committer.
/// A client that asks something else meanwhile may wait for the disk, up to twice [`SEAT_LOOK_INTERVAL`].
pub const OWN_COMMIT_QUIET: Duration = Duration::from_millis(10);

/// How soon after the last one a write has to come for a worker to commit it itself. Single ones are handed over.
pub const OWN_COMMIT_GAP: Duration = Duration::from_millis(5);

/// A worker that is about to commit writes of several clients itself looks this often, at most, whether more have come
/// meanwhile. Each look that finds one saves a commit.
pub const OWN_COMMIT_LOOKS_MAX: u32 = 4;

/// From this number of requests on they are committed at once: to wait for more of them would cost each more than it saves.
pub const OWN_COMMIT_REQUESTS: usize = 32;

/// How long a worker commits nothing itself after a commit that took longer than clients may wait for it.
pub const OWN_COMMIT_REST: Duration = Duration::from_millis(100);

/// How often the second thread of a worker looks whether the first one is held up by the disk: one that has been
/// from one look to the next has its worker taken.
pub const SEAT_LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// After this number of looks in which the worker committed nothing, the second thread sleeps.
pub const SEAT_LOOKS_IDLE: u32 = 8;

/// Requests of one connection that wait for the disk. Beyond it the connection is not read further
/// until some are answered.
pub const PARKED_REQUESTS_MAX: usize = 4096;

/// Commands of one transaction. A further one is refused, and so is the transaction then.
pub const TRANSACTION_COMMANDS_MAX: usize = 1024;

/// Parts of all commands of one transaction, their names among them: what it may take to execute it,
/// while other writes wait. A command with which there are more is refused, and so is the transaction
/// then.
pub const TRANSACTION_PARTS_MAX: usize = 16 * 1024;

/// Bytes of all commands of one transaction, as they are sent. A command with which there are more is
/// refused, and so is the transaction then.
pub const TRANSACTION_BYTES_MAX: usize = 1024 * 1024;

/// Stocks that one connection watches for its next transaction. A further one is refused.
pub const WATCHED_STOCKS_MAX: usize = 1024;

/// The longest time from a write to its commit that can be set: 1 hour.
pub const COMMIT_INTERVAL_MAX: Duration = Duration::from_secs(60 * 60);

/// Bytes of the log that wait to be written. Beyond it lines are dropped, and counted in the
/// log when there is room again.
pub const LOG_QUEUE_BYTES_MAX: usize = 256 * 1024;

/// Bytes of the log that are written at once, unless one line is longer: what a pipe takes whole.
pub const LOG_WRITE_BYTES: usize = 4096;

/// How long the end of the process waits for each write of the log. What is not written by then is
/// given up.
pub const LOG_FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// How often the log shows an event of one kind that clients can cause at will, such as a refused
/// connection. The others are counted.
pub const LOG_REPEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Users of an access file, at most. A file with more is refused.
pub const ACCESS_USERS_MAX: usize = 10_000;

/// Bytes of an access file, at most. A longer one is refused.
pub const ACCESS_FILE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of the name of a user, at most.
pub const USER_NAME_BYTES_MAX: usize = 64;

/// Tokens of one user, at most: one in use and one that takes its place.
pub const USER_TOKENS_MAX: usize = 2;

/// Bytes that are looked at as a token, at most. A longer text is none.
pub const TOKEN_SHOWN_BYTES_MAX: usize = 256;

/// Attempts of one address to authenticate that may fail within [`FAILED_ATTEMPTS_TIME`] before each
/// further failure is answered after [`FAILED_ATTEMPT_WAIT`]. What is right is answered at once.
pub const FAILED_ATTEMPTS_MAX: u64 = 10;

/// See [`FAILED_ATTEMPTS_MAX`].
pub const FAILED_ATTEMPTS_TIME: Duration = Duration::from_secs(60);

/// See [`FAILED_ATTEMPTS_MAX`].
pub const FAILED_ATTEMPT_WAIT: Duration = Duration::from_secs(6);

/// Addresses whose failed attempts to authenticate are counted at once, at most: 8 bytes each. Others
/// take their places.
pub const FAILED_ADDRESSES_MAX: usize = 4096;

/// Writes of one connection that are all refused before it is named in the log, once.
pub const REFUSED_WRITES_NAMED: u32 = 10;

/// Stocks that have changed since the last commit, at most, where writes are committed an interval
/// after they were answered: the commit comes early then. What one round of the committer decides
/// comes on top.
pub const UNCOMMITTED_STOCKS_MAX: usize = 64 * 1024;

/// How often a server looks whether its data directory is still in its place, when no commit does.
pub const DATA_DIR_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Memory that the store keeps for pages of its file, at most. The catalog answers all lookups, so
/// it helps commits alone.
pub const STORE_CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Bytes of a segment of the log of durable writes, unless one commit alone is larger. The next one is
/// begun then, and a checkpoint.
pub const LOG_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Segments of the log behind the checkpoint, at most. Writes wait for the checkpoint then.
pub const LOG_SEGMENTS_MAX: usize = 4;

/// Bytes of zeros that are written ahead of the log at once, at least and at most: as many as the segment
/// has, between the two.
pub const LOG_ZEROS_BYTES_MIN: u64 = 32 * 1024;
/// See [`LOG_ZEROS_BYTES_MIN`].
pub const LOG_ZEROS_BYTES_MAX: u64 = 1024 * 1024;

/// How long after a checkpoint the next one may begin before a segment is full. It does when the log has as
/// many bytes behind the checkpoint as the checkpoint has, so that it at most doubles what is written.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);

/// Bytes of the position that the store keeps with a commit, at most. A longer one is a mistake of the
/// program and ends it.
pub const STORE_POSITION_BYTES_MAX: usize = 1024 * 1024;

/// The highest version of a quote: twice of it fits in 63 bits of a row. Counting one up a nanosecond
/// takes 146 years. A record with a higher one is damaged.
pub const VERSION_MAX: u64 = (1 << 62) - 1;

/// Bytes of one message of the log of a cluster, at most. What does not fit goes into the next one; a
/// transaction that does not fit into one alone is refused.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;

/// Commands of one message of the log of a cluster, at most. Further ones go into the next message.
pub const BATCH_COMMANDS_MAX: usize = 8192;

/// Messages of one node that are on their way to the log at once and have not come back. What else is
/// asked waits for one of them, and then goes together.
pub const BATCHES_IN_FLIGHT_MAX: usize = 2;

/// Stocks listed at once in a cluster. A further listing is refused. Half of what a catalog has rooms for, since
/// what is delisted and what is listed together needs room for both.
pub const CLUSTER_STOCKS_MAX: usize = STOCKS_MAX / 2;

/// Bytes in the name of a cluster. A longer one is refused.
pub const CLUSTER_NAME_BYTES_MAX: usize = 32;

/// Messages that have come from the log of a cluster and wait to be applied. With more the log waits.
pub const DELIVERIES_MAX: usize = 4096;

/// Bytes of such messages. With more the log waits, too; one message alone always has room.
pub const DELIVERIES_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a node of a cluster wants from the network and has not got yet. A further one is dropped, and sent again when
/// it is due.
pub const EFFECTS_MAX: usize = 256;

/// How long a node that stops waits for what it has sent.
pub const CLUSTER_END_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a node of a cluster may be without a connection before writes are refused. Until then they wait.
pub const CLUSTER_DOWN_AFTER: Duration = Duration::from_secs(2);

/// Sessions of nodes that a cluster remembers, at most. A further one ends the one that was silent the longest.
pub const CLUSTER_SESSIONS_MAX: usize = 4096;

/// How long a session of a node is remembered without a message of it, by the clock of the log.
pub const CLUSTER_SESSION_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// Messages of the log of which a node remembers the chain, to compare it with what others have seen. What
/// somebody has seen before these is not compared.
pub const CHAIN_REMEMBERED: usize = 65_536;

/// Nodes compare digests of what they hold each time that they have applied this many messages.
pub const DIGEST_INTERVAL: u64 = 4096;

/// Digests that a node remembers. One of a message before these is not compared.
pub const DIGESTS_REMEMBERED: usize = 64;

/// How soon a message is sent again, as long as the log has not taken it.
pub const RESEND_INTERVAL: Duration = Duration::from_millis(100);

/// How old what a node shows may become before it asks the log, with a message that does nothing.
pub const TICK_INTERVAL: Duration = Duration::from_millis(250);

/// How long none of its own messages has to come back before a node follows the log again; after twice as
/// long it does so through another server.
pub const REFOLLOW_AFTER: Duration = Duration::from_secs(1);

/// The same after it was followed several times in vain.
pub const REFOLLOW_AFTER_MAX: Duration = Duration::from_secs(5);

/// Commands of the log that are decided before what they changed is shown, but for the end of a message. Those that are
/// decided together change a row once, as long as they stay in the cache of the processor.
pub const COMMANDS_TOGETHER_MAX: usize = BATCH_COMMANDS_MAX;

/// Damaged records that a check of a data directory names, at most. The others are counted.
pub const CHECK_DAMAGED_RECORDS_SHOWN_MAX: usize = 10;

/// Connections of one run of the load generator, at most. The process's limit of open files may
/// allow fewer.
pub const LOAD_CONNECTIONS_MAX: usize = 50_000;

/// Requests of one connection that a closed loop keeps under way, at most.
pub const LOAD_PIPELINE_MAX: usize = 65_536;

/// Names of one lookup (`MGET`) of the load generator, at most.
pub const LOAD_MGET_MAX: usize = 10_000;

/// Threads of the load generator, at most.
pub const LOAD_THREADS_MAX: usize = 256;

/// Requests a second that the load generator can be asked for, at least: one in 1,000 seconds.
pub const LOAD_RATE_MIN: f64 = 0.001;

/// Requests a second that the load generator can be asked for, at most: one a nanosecond.
pub const LOAD_RATE_MAX: f64 = 1e9;

/// Requests of one connection that an open loop has under way, at most. Where every connection has
/// that number, requests that are due wait for their turn, and their latency counts meanwhile.
pub const LOAD_IN_FLIGHT_MAX: usize = 65_536;

/// Bytes of requests that wait for room in a connection of an open loop. Beyond it the connection
/// gets no further ones.
pub const LOAD_OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// Requests of an open loop that are sent before replies are read again.
pub const LOAD_SEND_BATCH: usize = 1024;

/// Bytes read from a connection of the load generator at once.
pub const LOAD_READ_BYTES: usize = 64 * 1024;

/// How long the load generator waits, after the last request, for the replies that are missing.
/// What has no reply by then counts as unanswered, with the latency it has reached.
pub const LOAD_DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the load generator waits for a connection, and for a reply while it lists stocks.
pub const LOAD_PATIENCE: Duration = Duration::from_secs(10);

/// How long the load generator waits until its subscribers are subscribed. The run is given up then.
pub const LOAD_SUBSCRIBED_WITHIN: Duration = Duration::from_secs(60);

/// The longest latency that histograms tell apart: 1 hour. The maximum and the mean are exact beyond
/// it, too.
pub const LATENCY_MAX: Duration = Duration::from_secs(60 * 60);

/// Latencies that are kept one by one, at most. More go to a histogram, whose size does not grow with
/// their number.
pub const EXACT_LATENCIES_MAX: usize = 4096;

/// Latencies that lie beyond a percentile, at least, for it to be shown: with fewer it is the luck of one or
/// two. A table shows a dash instead.
pub const PERCENTILE_LATENCIES_BEYOND_MIN: u64 = 10;

/// Clients at once of `stockd lookup --clients`, at most. Each is a thread; the load generator has more.
pub const LOOKUP_CLIENTS_MAX: usize = 64;

/// Repetitions of a run of the load generator, and values of one sweep, at most.
pub const LOAD_RUNS_MAX: usize = 1000;

/// Stocks that the load generator generates, at most.
pub const LOAD_STOCKS_MAX: usize = STOCKS_MAX;

/// Subscribers of one run of the load generator, at most.
pub const LOAD_SUBSCRIBERS_MAX: usize = 10_000;

/// Threads of the service plane, at most.
pub const WEB_THREADS_MAX: usize = 64;

/// Bytes of the head of an HTTP/1.1 request: its first line and its headers. A longer one is answered
/// with 431. As many bytes of a response wait above the system for a client that does not read.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * 1024;

/// Bytes of the path and query of a request. Longer ones are answered with 414.
pub const HTTP_URI_BYTES_MAX: usize = 8 * 1024;

/// Bytes of the body of a request. A larger one is answered with 413.
pub const HTTP_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of the body of a request about one stock. A larger one is answered with 413.
pub const HTTP_QUOTE_BYTES_MAX: usize = 16 * 1024;

/// Bytes that the bodies of all requests hold together. A request whose body does not fit is answered with 503.
pub const HTTP_BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long the head of a request may take, the time before it on an idle connection included. The
/// connection is closed then.
pub const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a worker that is asked whether it turns may leave that unanswered before the server is not live.
pub const LIVE_SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long the body of a request may take to come whole. It is answered with 408 then, and has done nothing.
pub const HTTP_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a write waits for the disk before it is answered as uncertain.
pub const HTTP_WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a client of the service plane may take none of what is sent to it before it is closed.
pub const HTTP_STALLED_TIMEOUT: Duration = Duration::from_secs(60);

/// Requests that are being answered at once, streams apart. A further one is answered with 503.
pub const HTTP_REQUESTS_MAX: usize = 1024;

/// Connections of the service plane beyond those that may be streams. A further one is answered with 503 and
/// closed.
pub const HTTP_CONNECTIONS_MAX: usize = 4096;

/// Requests and streams of one HTTP/2 connection at once. Further ones wait for their turn at the client.
pub const HTTP2_STREAMS_MAX: u32 = 256;

/// Streams of one HTTP/2 connection that its client has given up and that are not tidied up. With more the
/// connection is closed.
pub const HTTP2_RESETS_MAX: usize = 32;

/// How often the server asks whether the client of an HTTP/2 connection is still there, and how long it waits
/// for the answer before it closes.
pub const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);

/// Bytes of a response that wait for one HTTP/2 stream.
pub const HTTP2_SEND_BYTES_MAX: usize = 16 * 1024;

/// Stocks that one request names in its address. A request with more is refused; `POST /v1/lookup` takes more.
pub const HTTP_QUERY_NAMES_MAX: usize = 1000;

/// Stocks that one `POST /v1/lookup` or `BatchLookup` names. A request with more is refused.
pub const HTTP_LOOKUP_NAMES_MAX: usize = 100_000;

/// Lines of one `POST /v1/updates`. A request with more is refused.
pub const HTTP_UPDATES_MAX: usize = 100_000;

/// Refused lines of one `POST /v1/updates` that are told one by one. The others are counted.
pub const HTTP_REFUSED_SHOWN_MAX: usize = 1000;

/// Stocks of one page of `GET /v1/stocks`, at most; a larger `limit` counts as this one.
pub const HTTP_PAGE_STOCKS_MAX: usize = 1000;

/// Rows of the catalog that one page of `GET /v1/stocks` reads, at most. Where they hold fewer stocks it
/// answers those, and where to go on.
pub const HTTP_PAGE_ROWS_MAX: usize = 65_536;

/// Writes of the service plane that are executed before others have their turn.
pub const HTTP_WRITES_TOGETHER: usize = 1024;

/// Streams open at once, over all protocols of the service plane (*default*). A further one is refused.
pub const STREAMS_MAX: usize = 10_000;

/// Bytes of messages that a stream makes before it looks whether its client takes them.
pub const STREAM_BYTES_MAX: usize = 16 * 1024;

/// Messages of gRPC that a stream makes before it looks whether its client takes them.
pub const STREAM_MESSAGES_MAX: usize = 64;

/// How often a stream tells that it is there.
pub const STREAM_HEARTBEAT: Duration = Duration::from_secs(5);

/// When the server stops: how long a stream over HTTP/1.1 or WebSocket may take to send what it has made and to say
/// goodbye, and the body of a request to come whole. The stream is cut off then, and the request refused.
pub const STREAM_GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest `interval` of a stream, and of `CLIENT INTERVAL`.
pub const STREAM_INTERVAL_MAX: Duration = Duration::from_secs(3600);

/// Bytes of what the client of a stream calls itself. A stream with a longer name is refused.
pub const STREAM_NAME_BYTES_MAX: usize = 64;

/// Names in the request of a stream that can be no symbols, each of which is told as unlisted. With more of them it is refused.
pub const STREAM_IMPOSSIBLE_NAMES_MAX: usize = 1024;

/// By how much more than what changed since is told to a stream that resumes: writes may take this long
/// from the moment that a quote has as its update to the moment when it can be seen.
pub const STREAM_RESUME_OVERLAP: Duration = Duration::from_secs(60);

/// Bytes of a message that a WebSocket client sends. A longer one ends the stream.
pub const WEBSOCKET_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Bytes that are read from a WebSocket client at once: as many are held for each as long as it is there.
pub const WEBSOCKET_READ_BYTES: usize = 2 * 1024;

/// How often a WebSocket client is asked whether it is still there.
pub const WEBSOCKET_PING_INTERVAL: Duration = Duration::from_secs(20);

/// How long a WebSocket client may be silent, its pongs included, before it is closed.
pub const WEBSOCKET_SILENCE_MAX: Duration = Duration::from_secs(60);

/// Stocks of which a stream for clients of Alpaca remembers what it has told. Of others it tells price and quote with
/// each change.
pub const ALPACA_TOLD_MAX: usize = 16_384;

/// How deep the messages of clients of Alpaca may be nested. A deeper one is answered with an error.
pub const ALPACA_MESSAGE_DEPTH_MAX: usize = 16;

/// Orders that are kept with the data directory: the last ones.
pub const ORDERS_KEPT: u64 = 1_000_000;

/// Orders that are kept where nothing is kept on the disk: the last ones.
pub const ORDERS_KEPT_IN_MEMORY: usize = 10_000;

/// Orders that are kept and executed together. Further ones wait.
pub const ORDERS_TOGETHER_MAX: usize = 256;

/// Orders that wait to be executed. A further one is refused.
pub const ORDERS_WAITING_MAX: usize = 1024;

/// How often an order is tried because others have changed the count of orders at the same time. Then it is refused.
pub const ORDER_ATTEMPTS_MAX: usize = 8;

/// Connections that `GET /v1/clients` lists on one page.
pub const HTTP_CLIENTS_PAGE: usize = 1000;

/// Series of `/metrics`, at most, whatever is listed or connected.
pub const METRIC_SERIES_MAX: usize = 300;

/// Trades of a stock that a feed can break or correct: the last ones. A break of an earlier one is counted, and
/// changes no price.
pub const FEED_TRADES_KEPT: usize = 16;

/// Feeds that may have been opened since the server started. Another name is refused.
pub const FEEDS_MAX: usize = 1024;

/// Bytes of the name of a feed, at most. A longer one is refused.
pub const FEED_NAME_BYTES_MAX: usize = 64;

/// How long a feed may say that it will be silent, at least and at most. Others are refused.
pub const FEED_TTL_MIN: Duration = Duration::from_millis(10);
/// See [`FEED_TTL_MIN`].
pub const FEED_TTL_MAX: Duration = Duration::from_secs(86_400);

/// Rows of the catalog that are looked at together for the stocks of feeds whose state has changed. The rest
/// comes in the next slice.
pub const FEED_WALK_ROWS: usize = 4096;

/// Feeds that have a series of their own among the metrics: the first that were opened. `FEED LIST` shows all.
pub const FEED_SERIES_MAX: usize = 16;

/// Orders of a feed that are kept for their prices, at most: 143 MB, and half as much again while their table grows. An
/// order beyond is counted, and its executions are passed over.
pub const FEED_ORDERS_MAX: usize = 7 * 1024 * 1024;

/// Ids of a feed whose stock is found at once: 192 KiB. Others, and those that share a place with one of them, are looked
/// up.
pub const FEED_IDS_RECENT: usize = 8192;

/// Ids for which a feed gives symbols in its stream, at most: 109 MB. A further one is counted, and its records are passed over.
pub const FEED_IDS_MAX: usize = 4 * 1024 * 1024;

/// Bytes of one packet or block of a capture, at most. A longer one means that the capture is damaged.
pub const FEED_PACKET_BYTES_MAX: usize = 256 * 1024;

/// Bytes of the metadata of a feed, at most: the mappings of all symbols of a market over years. More means that
/// it is damaged.
pub const FEED_METADATA_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Interfaces of a capture that are known, at most. Packets of others are passed over.
pub const FEED_INTERFACES_MAX: usize = 1024;

/// Sessions of a capture that are followed, at most. Packets of others are counted and passed over.
pub const FEED_SESSIONS_MAX: usize = 1024;

/// Skipped messages of a feed that are named, at most. The others are counted by cause.
pub const FEED_SKIPPED_NAMED_MAX: usize = 10;

/// How long the writer of a feed tries to connect to the server again before it ends with an error.
pub const FEED_RECONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// Links of the chain that a node keeps on its disk and in snapshots, to compare what the log delivers after a start.
pub const CHAIN_KEPT: usize = 256;

/// How often a node of a cluster keeps on its disk what has changed. After a crash it reads from the log what it has
/// not kept.
pub const KEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A node pauses at least this many times as long as it took to keep what had changed.
pub const KEEP_PAUSE: u32 = 4;

/// Stocks that have changed since a node has last kept them, at most. With more, the log waits for the disk.
pub const KEEP_STOCKS_MAX: usize = 1 << 20;

/// Stocks that are put on the disk together when a node begins from a snapshot.
pub const FILL_STOCKS: usize = 16 * 1024;

/// How long a log that ends before what a node has kept may go on to say so, before the node takes its word for
/// it: servers that start read their disks.
pub const LOG_RECOVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long after a snapshot of a cluster the next one is due, by the clock of the log.
pub const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Bytes of the log since the last snapshot of a cluster with which the next one is due earlier, after
/// [`SNAPSHOT_PAUSE`]: a node that begins reads them in a few seconds.
pub const SNAPSHOT_LOG_BYTES: u64 = 64 * 1024 * 1024;

/// How long after a snapshot of a cluster there is no further one, by the clock of the log, before it has grown by
/// [`SNAPSHOT_LOG_BYTES_MAX`].
pub const SNAPSHOT_PAUSE: Duration = Duration::from_secs(60);

/// Bytes of the log since the last snapshot of a cluster with which the next one is due at once, and again the turn of
/// another node.
pub const SNAPSHOT_LOG_BYTES_MAX: u64 = 1 << 30;

/// Bytes of a stock in a snapshot of a cluster, about. Before [`SNAPSHOT_INTERVAL`] has passed none is taken that is longer than half of
/// the log since the last one.
pub const SNAPSHOT_STOCK_BYTES: u64 = 60;

/// How long a node has its turn to keep a snapshot. Then another one has it.
pub const SNAPSHOT_TURN: Duration = Duration::from_secs(60);

/// How long a node of which the log has no message is still one that may have its turn.
pub const SNAPSHOT_TAKER_SILENCE: Duration = Duration::from_secs(10);

/// Bytes of the messages in which a snapshot of a cluster is kept.
pub const SNAPSHOT_CHUNK_BYTES: usize = 128 * 1024;

/// Bytes of a snapshot of a cluster, at most: every stock that may be listed, with all that a quote has. A larger one is not
/// read.
pub const SNAPSHOT_OBJECT_BYTES_MAX: u64 = 200 * CLUSTER_STOCKS_MAX as u64;
