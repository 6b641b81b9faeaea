//! `login` and `logout`.

use std::io::{self, BufRead, IsTerminal, Read};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::Setting;
use crate::args::{LoginArgs, LogoutArgs};
use crate::failure::Failure;
use crate::{access, engine, names};

/// Longest password that is read.
const LIMIT: u64 = 1 << 20;

/// Tries credentials out and keeps them.
pub(crate) fn login(args: LoginArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let host = names::registry(&args.registry);
    let settings = setting.settings()?;
    let client = engine::client(&settings, setting.env)?;
    let keep = access::login_store(setting.env)?;
    let user = match args.username {
        Some(user) => user,
        None => ask(setting, "Username: ", true)?,
    };
    let password = match args.password {
        Some(password) => {
            setting.printer.warn("others can see a password on the command line; use `--password-stdin`");
            password
        }
        None if args.password_stdin => all_of_stdin()?,
        None => ask(setting, "Password: ", false)?,
    };
    if user.is_empty() || password.is_empty() {
        return Err(Failure::message("both a user name and a password are needed"));
    }
    let kept_by_helper = access::runtime()?.block_on(client.login(host, &user, &password, &keep))?;
    if !kept_by_helper {
        let place = keep.file.path().display();
        setting
            .printer
            .warn(&format!("the password is kept in `{place}`, readable to whoever can read that file"));
    }
    setting.printer.line(format!("logged in to {host}"))
}

/// Forgets credentials.
pub(crate) fn logout(args: &LogoutArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let host = names::registry(&args.registry);
    let keep = access::login_store(setting.env)?;
    let erased = access::runtime()?.block_on(keep.erase(host));
    let found = erased.map_err(|error| Failure::because(format!("can't log out of `{host}`"), &error))?;
    let text = if found { format!("logged out of {host}") } else { format!("not logged in to {host}") };
    setting.printer.line(text)
}

fn all_of_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(LIMIT)
        .read_to_string(&mut text)
        .map_err(|error| Failure::because("can't read the password from standard input", &error))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks on the terminal; without `echo` what is typed isn't shown.
fn ask(setting: &Setting<'_>, question: &str, echo: bool) -> Result<String, Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::hinted(
            "there is no terminal to ask for credentials on",
            "give `--username` and `--password-stdin`",
        ));
    }
    setting.printer.error(question);
    let failed = |error: io::Error| Failure::because("can't read from the terminal", &error);
    let before = tcgetattr(&stdin).map_err(|error| failed(error.into()))?;
    if !echo {
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(|error| failed(error.into()))?;
    }
    let mut text = String::new();
    let read = stdin.lock().read_line(&mut text);
    if !echo {
        // whatever was typed, the terminal must come back
        let _ = tcsetattr(&stdin, OptionalActions::Flush, &before);
        setting.printer.error("\n");
    }
    read.map_err(failed)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
