//! The commands about connections: `HELLO`, `CLIENT`, `RESET`.

use std::time::Duration;

use stockd_wire::resp::{Client, CommandId, Encoder, Hello, Version};

use crate::client_list::ClientInfo;
use crate::turn::Turn;

/// Greets a client, in the version that it asks for.
pub(super) fn hello(
    hello: &Hello<'_>,
    client: &ClientInfo,
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
) {
    if let Some(version) = hello.version {
        encoder.set_version(version);
    }
    if let Some(name) = hello.name {
        client.rename(|names| name.clone_into(&mut names.client));
    }
    encoder.hello(client.id, out);
}

/// Performs a subcommand of `CLIENT`.
pub(super) fn perform(
    command: Client<'_>,
    client: &ClientInfo,
    encoder: &Encoder,
    turn: &mut Turn<'_>,
) {
    if let Client::Interval(interval) = command {
        return set_interval(interval, encoder, turn);
    }
    let out = &mut *turn.replies.out;
    match command {
        Client::Id => return encoder.integer(client.id, out),
        Client::Info => {
            client.note_command(CommandId::CLIENT_INFO);
            let mut line = String::new();
            client.write_line(turn.now, &mut line);
            return encoder.lines(&line, out);
        }
        // Walks, what `hush.rs` and `tracking.rs` do, and what has been done.
        Client::List(_)
        | Client::Kill(_)
        | Client::Interval(_)
        | Client::Reply(_)
        | Client::Tracking(_)
        | Client::Caching(_)
        | Client::TrackingInfo
        | Client::Redirection => return debug_assert!(false, "{command:?} is performed elsewhere"),
        Client::Name => {
            return match client.names().client.as_bytes() {
                b"" => encoder.nil(out),
                name => encoder.text(name, out),
            };
        }
        Client::SetName(name) => client.rename(|names| name.clone_into(&mut names.client)),
        Client::SetLibraryName(name) => {
            client.rename(|names| name.clone_into(&mut names.library));
        }
        Client::SetLibraryVersion(version) => {
            client.rename(|names| version.clone_into(&mut names.library_version));
        }
    }
    encoder.ok(out);
}

/// Has the connection told at most one message a symbol in this time.
fn set_interval(interval: Option<Duration>, encoder: &Encoder, turn: &mut Turn<'_>) {
    if interval.is_some()
        && let Err(full) = turn.check_memory()
    {
        return encoder.error(&full, turn.replies.out);
    }
    turn.feed.set_interval(turn.id.into(), interval);
    encoder.ok(turn.replies.out);
}

/// Makes the connection as it was when it was new.
pub(super) fn reset(client: &ClientInfo, encoder: &mut Encoder, turn: &mut Turn<'_>) {
    turn.feed.leave(turn.id.into());
    client.symbols.set(0);
    client.patterns.set(0);
    client.marks.set(0);
    encoder.set_version(Version::Resp2);
    client.rename(|names| *names = Default::default());
    encoder.reset(turn.replies.out);
}
