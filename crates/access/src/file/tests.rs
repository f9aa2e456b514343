use proptest::prelude::*;

use super::*;
use crate::Token;

const EXAMPLE: &str = r#"
[[user]]
name = "desk"
certificate = "CN=desk-7"
read = ["US.*"]
trade = ["US.*"]

[[user]]
name = "anonymous"
read = "DEMO.*"

[[user]]
name = "ops"
certificate = ["DNS:ops.example.org", "URI:spiffe://example.org/ops"]
rights = ["admin", "metrics"]
"#;

fn why(text: &str) -> String {
    AccessFile::parse(text).unwrap_err().to_string()
}

/// A user with a name, and this.
fn user(field: &str) -> String {
    format!("[[user]]\nname = \"a\"\n{field}\n")
}

#[test]
fn a_file_means_what_it_says() {
    let file = AccessFile::parse(EXAMPLE).unwrap();
    let names: Vec<_> = file.users().iter().map(|user| user.name().to_owned()).collect();
    assert_eq!(names, ["anonymous", "desk", "ops"]);
    let desk = file.user("desk").unwrap();
    assert_eq!(desk.rights(), [Right::Read, Right::Trade].into_iter().collect());
    assert_eq!(desk.grants(Right::Trade).unwrap().to_string(), "US.*");
    assert!(desk.grants(Right::Write).unwrap().are_none());
    let ops = file.by_certificate(&"DNS:OPS.example.org".parse().unwrap()).unwrap();
    assert_eq!(ops.rights(), [Right::Admin, Right::Metrics].into_iter().collect());
    assert!(AccessFile::parse("").unwrap().users().is_empty());
}

#[test]
fn each_mistake_has_its_line_and_a_remedy() {
    let cases = [
        ("users = 1", "line 1: unknown key 'users'; an access file has [[user]] tables alone"),
        ("user = 1", "line 1: write [[user]], in two brackets"),
        ("[user]\nname = \"a\"", "line 1: write [[user]], in two brackets"),
        ("[[user]]\nread = [\"*\"]", "line 1: this user has no name; write name = \"…\""),
        ("\n[[user]]\nname = 7", "line 3: this is integer; write a text in quotes"),
        ("[[user]]\nname = \"a b\"", "line 2: a name is printable ASCII without spaces"),
        (
            "[[user]]\nname = \"default\"",
            "line 2: clients of Redis say 'default' where they know no name; choose another",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(why(text), expected);
    }
    let two = format!("{}{}", user(""), user(""));
    assert_eq!(why(&two), "line 4: there are two users 'a'; make them one, or rename one");
    let fields = [
        ("write = [\"*\",\n\"A*B\"]", "line 4: 'A*B': one * may stand at the end"),
        ("reads = [\"*\"]", "line 3: unknown key 'reads'; a user has name, tokens,"),
        ("rights = [\"read\"]", "line 3: unknown right 'read'; there are admin and metrics,"),
        ("tokens = [\"secret\"]", "line 3: a token is kept as sha256: and 64"),
        ("certificate = \"desk\"", "line 3: a certificate is named CN=…"),
        ("read = [", "line 3: "),
    ];
    for (field, expected) in fields {
        assert!(why(&user(field)).starts_with(expected), "{}", why(&user(field)));
    }
}

#[test]
fn a_token_itself_is_refused_and_not_shown() {
    let token = Token::new([1; 32]);
    let error = why(&user(&format!("tokens = [\"{}\"]", token.as_str())));
    assert!(error.starts_with("line 3: this is a token itself"), "{error}");
    assert!(!error.contains(token.as_str()));
}

#[test]
fn anonymous_shows_nothing_and_administers_nothing() {
    let anonymous = |field: &str| why(&format!("[[user]]\nname = \"anonymous\"\n{field}"));
    assert!(anonymous("certificate = \"CN=x\"").contains("is who shows nothing"));
    assert!(anonymous("rights = [\"admin\"]").contains("cannot have the right admin"));
}

#[test]
fn a_certificate_is_one_users_and_tokens_are_two_at_most() {
    let other = "[[user]]\nname = \"b\"\ncertificate = \"CN=x\"\n";
    let twice = why(&format!("{}{other}", user("certificate = \"CN=x\"")));
    assert!(twice.contains("certificate 'CN=x' of 'b' is that of 'a' already"), "{twice}");
    let same = TokenHash::of(b"same");
    let same = |name| format!("[[user]]\nname = \"{name}\"\ntokens = [\"{same}\"]\n");
    let shared = why(&(same("b") + &same("c")));
    assert!(shared.ends_with("have the same token; make one for each"), "{shared}");
    let hashes: Vec<_> =
        (0..3).map(|number| format!("{:?}", Token::new([number; 32]).hash().to_string())).collect();
    let three = why(&user(&format!("tokens = [{}]", hashes.join(","))));
    assert!(three.contains("user 'a' has 3 tokens, the limit is 2"), "{three}");
}

#[test]
fn ten_thousand_users_are_read_and_one_more_is_not() {
    let of = |users: usize| {
        let each = |number| {
            let hash = TokenHash::of(format!("{number}").as_bytes());
            format!(
                "[[user]]\nname = \"u{number}\"\ntokens = [\"{hash}\"]\nread = [\"S{number}*\"]\n"
            )
        };
        (0..users).map(each).collect::<String>()
    };
    let file = AccessFile::parse(&of(ACCESS_USERS_MAX)).unwrap();
    for number in [0, 4711, ACCESS_USERS_MAX - 1] {
        let found = file.by_token(&TokenHash::of(format!("{number}").as_bytes())).unwrap();
        assert_eq!(found.name(), format!("u{number}"));
    }
    assert!(file.by_token(&TokenHash::of(b"other")).is_none());
    assert!(why(&of(ACCESS_USERS_MAX + 1)).contains("more than 10000 users, the limit"));
}

/// Lines of access files, whole and cut, in any order.
fn lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("[[user]]".to_owned()),
        "name = \"[a-z]{0,3}\"",
        "(read|write|trade) = \\[\"[A-Z*]{0,3}\", \"[A-Z]{0,2}\\*\"\\]",
        "rights = \\[\"(admin|metrics|other)\"\\]",
        "tokens = \\[\"(sha256:|stk_)?[0-9a-f]{0,64}\"\\]",
        "certificate = \"(CN=|DNS:|URI:)?[a-z]{0,3}\"",
        ".{0,20}",
    ];
    proptest::collection::vec(line, 0..20).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn rubbish_never_panics_and_errors_lie_within_the_file(text in lines()) {
        if let Err(error) = AccessFile::parse(&text) {
            prop_assert!(error.line <= text.split('\n').count());
            prop_assert!(!error.why.is_empty() && !error.why.contains('\n'), "{}", error.why);
        }
    }
}

/// Any bytes that are UTF-8, found by a fuzzer where one runs.
#[test]
fn fuzzed_files_never_panic() {
    bolero::check!().for_each(|input: &[u8]| {
        let _ = AccessFile::parse(&String::from_utf8_lossy(input));
    });
}
