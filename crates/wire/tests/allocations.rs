//! A command over many stocks costs memory and work in proportion to its bytes, inline too, and
//! also where each of its requests is taken to be answered later.

use stockd_model::Request;
use stockd_model::limits::RESP_INLINE_BYTES_MAX;
use stockd_wire::resp::{Decoder, Incoming, NotDeferrable, frame};

const NAMES: usize = 32_000;

/// `DEL` of as many names as fit on the longest line.
fn line() -> Vec<u8> {
    let line = format!("DEL{}\r\n", " A".repeat(NAMES)).into_bytes();
    assert!(line.len() > RESP_INLINE_BYTES_MAX * 95 / 100);
    line
}

fn array() -> Vec<u8> {
    let mut array = Vec::new();
    frame::array(1 + NAMES, &mut array);
    frame::bulk(b"DEL", &mut array);
    (0..NAMES).for_each(|_| frame::bulk(b"A", &mut array));
    array
}

/// Bytes allocated while this input is decoded, which asks for as many requests as it has names.
fn bytes_allocated(input: &[u8], mut next: impl FnMut(&mut Decoder, &mut &[u8]) -> bool) -> u64 {
    let counted = allocation_counter::measure(|| {
        let mut decoder = Decoder::new();
        let mut rest = input;
        let mut requests = 0;
        while next(&mut decoder, &mut rest) {
            requests += 1;
        }
        assert_eq!((requests, rest.len()), (NAMES, 0));
    });
    counted.bytes_total
}

fn take_deferrable(decoder: &mut Decoder, rest: &mut &[u8]) -> bool {
    match decoder.decode_deferrable(rest) {
        Ok(taken) => taken.is_some_and(|(request, _)| matches!(request, Request::Delist(_))),
        Err(NotDeferrable) => panic!("every part of DEL can be answered later"),
    }
}

fn take(decoder: &mut Decoder, rest: &mut &[u8]) -> bool {
    matches!(decoder.decode(rest), Ok(Some(Incoming::Request(Request::Delist(_), _))))
}

#[test]
fn an_inline_command_is_copied_a_few_times_and_not_once_a_part() {
    let line = line();
    let bound = 20 * line.len() as u64;
    assert!(bytes_allocated(&line, take) < bound);
    assert!(bytes_allocated(&line, take_deferrable) < bound);
}

#[test]
fn a_command_that_comes_as_an_array_is_not_copied() {
    assert_eq!(bytes_allocated(&array(), take), 0);
    assert_eq!(bytes_allocated(&array(), take_deferrable), 0);
}
