//! Looks up three stocks: `cargo run -p stockd-client --example prices`.

use stockd_client::{Answer, Client, ClientError};

fn main() -> Result<(), ClientError> {
    let mut client = Client::connect("127.0.0.1:7878")?;
    for name in ["AAPL", "BRK/A", "XYZ"] {
        match client.lookup(name)? {
            Answer::Price(price) => println!("{name} {price}"),
            Answer::NotTradable => println!("{name} cannot be traded now"),
            Answer::NotFound => println!("{name} is not listed"),
            Answer::NotPermitted => println!("{name} may not be read"),
        }
    }
    Ok(())
}
