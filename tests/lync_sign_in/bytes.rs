//! Any bytes at all, and any address.

use proptest::prelude::*;
use relevo::sip::{Decoder, Limits, NameAddr, Uri};

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn bytes_are_messages_or_none_however_they_are_cut(
        pieces in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                Just(b"INVITE sip:a@b SIP/2.0\r\n".to_vec()), Just(b"SIP/2.0 200 OK\r\n".to_vec()), Just(b"l: 3\r\n".to_vec()),
                Just(b"Via: x\r\n y\r\n".to_vec()), Just(b"\r\n".to_vec()), Just(b"\r\n\r\n".to_vec()), Just(b"abc".to_vec()),
            ], 0..30),
        cut in 1usize..60,
    ) {
        let limits = Limits { head: 200, headers: 8, body: 50 };
        let bytes: Vec<u8> = pieces.concat();
        let read = |cut: usize| {
            let mut decoder = Decoder::new(limits);
            let mut found = Vec::new();
            for piece in bytes.chunks(cut) {
                decoder.push(piece);
                loop {
                    match decoder.message() {
                        Ok(Some(message)) => found.push(message),
                        Ok(None) => break,
                        Err(wrong) => return (found, Some(wrong)),
                    }
                }
            }
            (found, None)
        };
        let (messages, wrong) = read(cut);
        let (whole, _) = read(bytes.len().max(1));
        prop_assert_eq!(&messages, &whole, "{:?}", wrong);
        for message in messages {
            let again = message.to_bytes();
            let mut decoder = Decoder::new(Limits { head: 4000, headers: 20, body: 50 });
            decoder.push(&again);
            let second = decoder.message().unwrap().unwrap();
            prop_assert_eq!(second.to_bytes(), again);
        }
    }

    #[test]
    fn an_address_is_read_the_same_again(text in "(sips?|tel|):[ -~]{0,30}@?[a-z0-9.:\\[\\]-]{0,20}[ -~]{0,10}") {
        if let Some(uri) = Uri::parse(&text) {
            let bare = uri.bare();
            if !bare.contains('%') && !bare.trim_start_matches("sip:").contains([':', ';', '?']) {
                prop_assert_eq!(Uri::parse(&bare).map(|uri| uri.bare()), Some(bare));
            }
        }
        let _ = NameAddr::parse(&text);
    }
}
