//! The launcher's command line: parse, dispatch, turn the outcome into an exit status.

use clap::Parser;
use xtask::cli::{Cli, Command};
use xtask::status;

fn main() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        xtask::terminal::restore();
        report(panic);
    }));
    let cli = Cli::parse();
    let outcome = match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(args) => xtask::run::run(&args),
        Command::Iso(args) => xtask::iso::iso(&args).map(|()| status::OK),
        Command::Test(args) => xtask::suite::command(&args),
        Command::Bench(args) => xtask::bench::bench(&args).map(|()| status::OK),
        Command::Size => xtask::size::size().map(|()| status::OK),
        Command::Check(args) => Ok(xtask::check::check(&args)),
        Command::Symbolize(args) => xtask::symbols::symbolize(&args).map(|()| status::OK),
        Command::Setup => xtask::setup::setup_all().map(|()| status::OK),
    };
    let code = outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        status::BAD_ARGUMENTS
    });
    xtask::terminal::restore();
    std::process::exit(code);
}
