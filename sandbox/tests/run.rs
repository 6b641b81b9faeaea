//! Runs real processes in real sandboxes.

fn main() {
    garboard_sandbox::dispatch();
}
