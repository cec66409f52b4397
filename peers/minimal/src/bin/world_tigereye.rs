//! A simulated world with a host, so that `cargo xtask contents` can tell whether it finds the
//! simulator in a program. Its size is not published.

use tigereye::sim::World;

fn main() {
    let mut world = World::new(1);
    world.host("host", std::net::Ipv4Addr::LOCALHOST.into(), |_io| {});
    println!("{world:?}");
}
