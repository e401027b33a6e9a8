#!/usr/bin/env bash
# Runs the programs on this Linux host, whose kernel has the same system calls: what they do here they must do on the
# mini-guest. Usage: on-linux.sh DIRECTORY-WITH-THE-PROGRAMS. Needs a kernel that runs 32-bit programs; status 77 if not.
# With root and unshare it also runs init as process 1 of a namespace of its own.
set -uo pipefail
programs=$(cd "${1:?usage: on-linux.sh DIRECTORY}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! "$programs/true"; then
    echo "skipped: this kernel does not run 32-bit programs"
    exit 77
fi
failed=0

# verdict NAME STATUS: counts and prints.
verdict() {
    if [ "$2" = 0 ]; then echo "ok    $1"; else echo "WRONG $1"; failed=$((failed + 1)); fi
}

# shell NAME EXPECTED-OUTPUT TEXT: runs TEXT by the shell, with our programs alone in PATH.
shell() {
    local found
    found=$(cd "$work" && env -i PATH="$programs" "$programs/sh" -c "$3" 2>&1 </dev/null; echo "status $?")
    [ "$found" = "$2" ]
    local status=$?
    verdict "sh: $1" $status
    if [ $status != 0 ]; then diff <(echo "$2") <(echo "$found") | sed 's/^/      /'; fi
}

for program in fault cow spin tls fpu pipe signal stress; do
    timeout 120 "$programs/$program" >"$work/log" 2>&1
    status=$?
    verdict "$program: $(tail -n 1 "$work/log")" $status
    if [ $status != 0 ]; then grep -v ': ok ' "$work/log" | sed 's/^/      /'; fi
done

shell "quoting" $'a  b c"d\nstatus 0' 'echo "a  b" c\"d'
shell "conditions" $'yes\nno\nneither\nstatus 0' 'true && echo yes; false || echo no; ! true || echo neither'
shell "status" $'3 0\nstatus 3' 'sh -c "exit 3"; A=$?; true; echo $A $?; exit $A'
shell "pipes" $'2\nstatus 0' 'echo a b | cat | wc -w'
shell "files" $'one\ntwo\n2\nstatus 0' 'echo one >f; echo two >>f; cat <f; wc -l <f'
shell "descriptors" $'both\nstatus 0' 'sh -c "echo both >&2" 2>&1 | cat'
shell "redirected builtin" $'after\n/\nstatus 0' 'cd /; pwd >'"$work"'/p; echo after; cat '"$work"'/p'
shell "wildcards" $'f1 f2 g\nf?\nnone*\nstatus 0' 'true >f1; true >f2; true >g; echo f? [g]; echo "f?"; echo none*'
shell "variables" $'x y\nx\nstatus 0' 'A=x; B="$A y"; echo $B; export A; sh -c "echo \$A"'
shell "positional" $'1 2 3: 3\nstatus 0' "sh -c 'echo \$@: \$#' sh 1 2 3"
shell "background" $'waited\nstatus 0' 'sleep 0.1 & wait; echo waited'
shell "status of a background process" $'5\nstatus 0' 'sh -c "exit 5" & wait $!; echo $?'
shell "killed" $'Segmentation fault\n139\nstatus 0' 'fault 0; echo $?'
shell "not found" $'sh: nosuch: not found\n127\nstatus 0' 'nosuch; echo $?'
shell "not executable" $'sh: /etc/passwd: Permission denied\n126\nstatus 0' '/etc/passwd; echo $?'
shell "syntax" $'sh: syntax error: unexpected |\nstatus 2' 'echo a | | b'
shell "unfinished" $'sh: syntax error: the line is not complete\nstatus 2' 'echo "a'
mkdir "$work/d" && touch "$work/d/a" "$work/d/b" "$work/d/.c"
shell "ls" $'a\nb\n.\n..\n.c\na\nb\nstatus 0' 'ls d; ls -a d'
shell "ls of nothing" $'ls: nosuch: No such file or directory\nstatus 1' 'ls nosuch'
shell "hexdump" $'00000000  61 62 0a                                          |ab.|\n00000003\nstatus 0' 'echo ab | hexdump'
shell "kill" $'Terminated\n143\nstatus 0' 'sh -c "kill \$\$; sleep 5"; echo $?'
found=$(env -i PATH="$programs" "$programs/sh" -c 'ps' | grep -cE "^ *[0-9]+ +[0-9]+ R .* ps$")
[ "$found" = 1 ]
verdict "ps shows itself running" $?
printf 'echo script $1\n' >"$work/s" && chmod +x "$work/s"
shell "script" $'script a\nstatus 0' "sh $work/s a"

# typed NAME PATTERN KEYS: an interactive shell on a terminal of its own; its screen must match the pattern.
# The keys are typed when the prompt is there: before, Ctrl-C is the terminal driver's.
typed() {
    : >"$work/screen"
    keys() {
        for _ in $(seq 200); do
            if grep -q '# ' "$work/screen"; then break; fi
            sleep 0.05
        done
        printf "$1"
    }
    keys "$3" | timeout 30 script -qefc "env -i PATH=$programs $programs/sh" "$work/screen" >/dev/null
    local screen
    screen=$(tr -d '\r' <"$work/screen")
    grep -qE "$2" <<<"$screen"
    local status=$?
    verdict "terminal: $1" $status
    if [ $status != 0 ]; then sed 's/^/      /' <<<"$screen"; fi
}
if command -v script >/dev/null; then
    typed "erasing" '^abd$' 'echo abc\x7fd\nexit\n'
    typed "history" 'again$' 'echo again\n\x1b[A\nexit\n'
    typed "Ctrl-C drops the line" '^kept$' 'echo lost\x03echo kept\nexit\n'
    typed "Ctrl-D ends it" 'COMMAND_EXIT_CODE="0"' '\x04'
    typed "continued lines" '^a b$' 'echo "a\\\n b"\nexit\n'
    typed "jobs" '^\[1\]  Done' 'sleep 0.2 &\nsleep 0.5\necho\nexit\n'
fi

if [ "$(id -u)" = 0 ] && unshare -pf true 2>/dev/null; then
    mkdir -p "$work/root/bin" "$work/root/proc" "$work/root/dev" "$work/root/etc"
    cp "$programs"/{sh,init,ls,cat,echo,ps,true,fault} "$work/root/bin/"
    echo 'echo from rc' >"$work/root/etc/rc"
    # reboot(2) in a namespace of processes ends its process 1 and nothing else.
    screen=$(unshare -pf chroot "$work/root" /bin/init /bin/sh -c 'echo in the shell; fault 0; exit 3' 2>&1 </dev/null)
    [ "$screen" = $'from rc\nin the shell\nSegmentation fault\ninit: /bin/sh exited with 3' ]
    status=$?
    verdict "init runs rc and its program, and powers off" $status
    if [ $status != 0 ]; then sed 's/^/      /' <<<"$screen"; fi
fi

echo "$failed wrong"
[ $failed = 0 ]
