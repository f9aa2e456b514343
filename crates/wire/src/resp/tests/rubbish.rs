//! Any bytes at all.

use super::*;
use proptest::prelude::*;

/// Holds what is true of every stream, and that its pieces make no difference.
fn check(stream: &[u8], piece_bytes: usize) {
    let mut whole = Conversation::new();
    whole.receive(stream);
    let mut pieces = Conversation::new();
    for piece in stream.chunks(piece_bytes.max(1)) {
        pieces.receive(piece);
    }
    assert_eq!(pieces.out, whole.out);
    assert_eq!((pieces.closed, pieces.stocks), (whole.closed, whole.stocks));
    if !whole.closed {
        assert_eq!(pieces.input, whole.input);
    }

    // What is recognised at a glance means what it means to a closer look.
    let mut closer = Conversation { at_a_glance: false, ..Conversation::new() };
    closer.receive(stream);
    assert_eq!((&closer.out, &closer.input), (&whole.out, &whole.input));

    // What is taken to be answered later is what would be answered at once.
    let mut deferring = Conversation { deferring: true, ..Conversation::new() };
    for piece in stream.chunks(piece_bytes.max(1)) {
        deferring.receive(piece);
    }
    assert_eq!((&deferring.out, deferring.closed), (&whole.out, whole.closed));

    // The longest reply for its command is that of COMMAND; an MGET's symbol of six bytes on the
    // wire is answered with eleven at most here.
    assert!(whole.out.len() <= 20_000 * (1 + stream.len() / 8), "{}", whole.out.len());

    // With room for one reply at a time, the same is answered.
    let mut slow = Conversation::new();
    slow.out_bytes_max = 1;
    slow.receive(stream);
    let mut replies = Vec::new();
    while !slow.out.is_empty() {
        replies.append(&mut slow.out);
        slow.resume();
    }
    assert_eq!(replies, whole.out);
}

/// A fuzzer too, under cargo-bolero.
#[test]
fn rubbish_is_decoded_like_anything_else() {
    bolero::check!().for_each(|input: &[u8]| {
        if let [piece_bytes, stream @ ..] = input {
            check(stream, usize::from(piece_bytes % 16));
        }
    });
}

/// A piece of the protocol or nearly so: rubbish that gets further than bytes by chance.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let names: Vec<&str> = table::COMMANDS.iter().map(|spec| spec.name).collect();
    let words = [
        "AAPL", "IBM", "XYZ", "price", "volume", "status", "1", "-5", "0", "172.5", "halted", "A*",
        "[", "id", "info", "docs", "get", "MATCH", "COUNT", "3", "", "\r\n", "\"", "' '",
    ];
    let word = prop_oneof![
        prop::sample::select(names).prop_map(str::to_owned),
        prop::sample::select(words.to_vec()).prop_map(str::to_owned),
    ];
    let command = prop::collection::vec(word, 0..6);
    prop_oneof![
        4 => command.clone().prop_map(|parts| array(&parts)),
        2 => command.prop_map(|parts| (parts.join(" ") + "\r\n").into_bytes()),
        1 => prop::sample::select(vec!["*3\r\n", "*0\r\n", "$3\r\n", "$0\r\n\r\n", "\r\n", "*-1\r\n"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

proptest! {
    #[test]
    fn what_is_nearly_right_is_decoded_the_same_in_any_pieces(
        fragments in prop::collection::vec(fragment(), 0..8), piece_bytes in 1..40_usize,
    ) {
        check(&fragments.concat(), piece_bytes);
    }

    /// Arguments come out as they went in, through both forms.
    #[test]
    fn an_echo_is_what_was_said(message in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut expected = format!("${}\r\n", message.len()).into_bytes();
        expected.extend_from_slice(&message);
        expected.extend_from_slice(b"\r\n");

        let mut conversation = Conversation::new();
        conversation.receive(&array(&[b"ECHO", message.as_slice()]));
        prop_assert_eq!(&conversation.out, &expected);

        let escaped: String = message.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let mut conversation = Conversation::new();
        conversation.receive(format!("ECHO \"{escaped}\"\n").as_bytes());
        prop_assert_eq!(&conversation.out, &expected);
    }
}
