//! Whether the time that a token is looked at says anything of those that are right.
//!
//! ```console
//! $ cargo bench -p stockd-access --bench token_timing
//! ```
//!
//! Among 1,000 users, tokens of four kinds are shown in a random order: right ones; wrong ones of random bits; and
//! wrong ones that are as a right one but for their first or last character. For each kind it prints the mean time of a look,
//! and Welch's t of its difference to random wrong ones: one who guesses learns something only where nearly right tokens
//! take another time than others that are wrong. Below 4.5 there is no sign of it (as in tests for leaks by the clock, where
//! the slowest hundredth of looks, which the system interrupted, is left out). A right token is answered by letting the client
//! in, so that it takes longer is no secret. A machine that is busy prints nothing to rely on, and no test asserts any of
//! this.

use std::hint::black_box;
use std::time::Instant;

use stockd_access::{AccessFile, Authority, Token};

const USERS: usize = 1000;
const LOOKS: usize = 2_000_000;

/// The kinds of tokens.
const KINDS: [&str; 4] = ["right", "random", "first character", "last character"];

/// The kind that the others are compared with.
const RANDOM: usize = 1;

/// Random numbers that are the same every time (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn token(&mut self) -> Token {
        let mut random = [0; 32];
        random.chunks_mut(8).for_each(|part| part.copy_from_slice(&self.next().to_le_bytes()));
        Token::new(random)
    }
}

fn main() {
    let mut numbers = Numbers(1);
    let right: Vec<Token> = (0..USERS).map(|_| numbers.token()).collect();
    let random: Vec<Token> = (0..USERS).map(|_| numbers.token()).collect();
    let user = |(number, token): (usize, &Token)| {
        format!("[[user]]\nname = \"u{number}\"\ntokens = [\"{}\"]\nread = [\"*\"]\n", token.hash())
    };
    let file: String = right.iter().enumerate().map(user).collect();
    let authority = Authority::new(AccessFile::parse(&file).expect("an access file"));
    let mut times: [Vec<f64>; 4] = Default::default();
    for look in 0..LOOKS {
        let pick = numbers.next();
        let (kind, of) = ((pick % 4) as usize, (pick >> 8) as usize % USERS);
        // All are made in the same way, so that what was done before a look is the same too.
        let token = if kind == RANDOM { &random[of] } else { &right[of] };
        let mut shown = token.as_str().to_owned().into_bytes();
        let at = if kind == 2 { "stk_".len() } else { shown.len() - 1 };
        let other = if shown[at] == b'A' { b'B' } else { b'A' };
        shown[at] = if kind >= 2 { other } else { shown[at] };
        let began = Instant::now();
        let found = black_box(authority.by_token(None, black_box(&shown)));
        let took = began.elapsed();
        assert_eq!(found.is_some(), kind == 0, "token {look}");
        times[kind].push(took.as_nanos() as f64);
    }
    println!("{:<16} {:>8} {:>8} {:>7}", "token", "looks", "mean ns", "t");
    let figures = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times.truncate(times.len() * 99 / 100);
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        let squares: f64 = times.iter().map(|time| (time - mean).powi(2)).sum();
        (times.len(), mean, squares / (times.len() - 1) as f64)
    });
    let (base_count, base_mean, base_variance) = figures[RANDOM];
    for (kind, (count, mean, variance)) in KINDS.iter().zip(figures) {
        let error = (variance / count as f64 + base_variance / base_count as f64).sqrt();
        println!("{kind:<16} {count:>8} {mean:>8.1} {:>7.2}", (mean - base_mean) / error);
    }
}
