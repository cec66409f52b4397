//! Frames: what was sent is what comes, however it is cut; and what is no frame is refused.

use crate::log::{Content, Entry};
use crate::random::Random;
use crate::wire::{Body, Incoming, Malformed, Message, Outcome};

fn messages() -> Vec<Message> {
    let put = Content::Put { client: 1, number: 2, payload: vec![3; 700].into() };
    let contents = [Content::Begin, put, Content::Admit { node: 2, token: u64::MAX }];
    let entries = contents.map(|content| Entry { term: 4, content }).to_vec();
    let bodies = [
        Body::Vote { from: 1, term: 2, last_index: 3, last_term: 4 },
        Body::Voted { term: 5, granted: true },
        Body::Append { from: 0, term: 6, prev_index: 7, prev_term: 8, commit: 9, entries },
        Body::Appended { term: 1, outcome: Outcome::Stored, lost: Some(3) },
        Body::Appended { term: 1, outcome: Outcome::Differs { hint: 2 }, lost: None },
        Body::Put { client: 1, sequence: 2, payload: Vec::new().into() },
        Body::Done { index: 1 },
        Body::Elsewhere { leader: Some(2) },
        Body::Elsewhere { leader: None },
    ];
    bodies.into_iter().zip(1..).map(|(body, number)| Message { number, body }).collect()
}

/// What comes of bytes that come in pieces of these lengths.
fn received(bytes: &[u8], mut piece: impl FnMut() -> usize) -> Result<Vec<Message>, Malformed> {
    let (mut incoming, mut messages, mut rest) = (Incoming::default(), Vec::new(), bytes);
    while !rest.is_empty() {
        let (some, later) = rest.split_at(piece().clamp(1, rest.len()));
        let mut room = incoming.room();
        room.extend_from_slice(some);
        incoming.give(room);
        while let Some(message) = incoming.next()? {
            messages.push(message);
        }
        rest = later;
    }
    Ok(messages)
}

#[test]
fn frames_come_as_they_were_sent_however_they_are_cut() {
    let all = messages();
    let bytes: Vec<u8> = all.iter().flat_map(Message::frame).collect();
    let mut random = Random(3);
    assert_eq!(received(&bytes, || bytes.len()), Ok(all.clone()));
    assert_eq!(received(&bytes, || 1), Ok(all.clone()));
    for _ in 0..50 {
        assert_eq!(received(&bytes, || random.below(90) as usize), Ok(all.clone()));
    }
}

#[test]
fn what_is_no_frame_is_refused() {
    let mut random = Random(4);
    for message in messages() {
        let frame = message.frame();
        for _ in 0..200 {
            let mut wrong = frame.clone();
            let bit = random.below(8 * wrong.len() as u64) as usize;
            wrong[bit / 8] ^= 1 << (bit % 8);
            // A length that is too long waits for more.
            let result = received(&wrong, || frame.len());
            assert!(matches!(result, Err(Malformed)) || result == Ok(vec![]), "bit {bit}");
        }
    }
    let long = [u64::MAX.to_le_bytes(), [0; 8]].concat();
    assert_eq!(received(&long, || 16), Err(Malformed));
}
