//! Which listeners others may reach although they are not protected.

use std::str::FromStr;

/// The protocols whose listeners may be insecure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Insecure(Vec<&'static str>);

/// What a listener can speak.
const PROTOCOLS: [&str; 4] = ["line", "resp", "http", "grpc"];

impl Insecure {
    /// Whether listeners of this protocol may be.
    pub(crate) fn has(&self, protocol: &str) -> bool {
        self.0.contains(&protocol)
    }
}

/// A text is no list of protocols.
#[derive(Debug)]
pub(crate) struct NoProtocols;

impl FromStr for Insecure {
    type Err = NoProtocols;

    /// Reads `false`, `true`, or the names of protocols with commas between.
    fn from_str(text: &str) -> Result<Insecure, NoProtocols> {
        match text {
            "false" => Ok(Insecure::default()),
            "true" => Ok(Insecure(PROTOCOLS.to_vec())),
            names => {
                let named = |name: &str| {
                    PROTOCOLS.into_iter().find(|it| *it == name.trim()).ok_or(NoProtocols)
                };
                names.split(',').map(named).collect::<Result<_, _>>().map(Insecure)
            }
        }
    }
}
