# Sourced by scripts/fetch. Finds what only tests need: PgBouncer, a PostgreSQL built with TLS (the fetched one is not),
# Prometheus' promtool and Tesseract with English. Uses installed ones; on Debian and Ubuntu it unpacks missing ones into a folder, which needs no root
# and starts no service. Writes their paths to $test_tools/env.

# find_pgbouncer, find_promtool, find_tesseract, find_tls_postgres: print the path of an installed program.
find_pgbouncer() { PATH=$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/bin command -v pgbouncer; }

find_promtool() { PATH=$PATH:/usr/local/bin:/opt/homebrew/bin command -v promtool; }

# One that has the English language data.
find_tesseract() {
    local program
    program=$(PATH=$PATH:/usr/local/bin:/opt/homebrew/bin command -v tesseract) &&
        "$program" --list-langs 2>/dev/null | grep -qx eng && echo "$program"
}

find_tls_postgres() {
    local bin newest=
    for bin in /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin; do
        if [ -x "$bin/initdb" ] && [ -x "$bin/postgres" ]; then newest=$bin; fi
    done
    [ -n "$newest" ] && echo "$newest"
}

# For apt as an ordinary user. Its lists and archives are below $test_tools unless the system's lists have the packages.
apt_options=(-o "APT::Sandbox::User=" -o "Debug::NoLocking=1")

update_lists() {
    local state=$test_tools/apt
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    apt_options+=(-o "Dir::State::lists=$state/lists" -o "Dir::Cache=$state/cache")
    say "updating the package lists"
    apt-get "${apt_options[@]}" -qq update
}

apt_knows() { [ -n "$(apt-cache "${apt_options[@]}" show --no-all-versions "$1" 2>/dev/null)" ]; }

# missing_libraries PACKAGE: prints the libraries that it needs and the system lacks, and those that they need. Leaves out LLVM,
# which only JIT loads, and JavaScript, which only web pages need.
missing_libraries() {
    local library
    for library in $(apt-cache "${apt_options[@]}" depends "$1" 2>/dev/null | sed -n 's/^ [ |]Depends: \(lib[^:<]*\)$/\1/p' | grep -v -e '^libllvm' -e '^libjs-'); do
        case "$(dpkg-query -W -f '${db:Status-Abbrev}' "$library" 2>/dev/null)" in
            ii*) ;;
            *) echo "$library" && missing_libraries "$library" ;;
        esac
    done
}

# unpack_package PACKAGE [OTHER…]: unpacks it, its libraries and the other packages into $test_tools/PACKAGE.
unpack_package() {
    local dir=$test_tools/$1 work=$test_tools/$1.$$ deb
    [ ! -d "$dir" ] || return 0
    rm -rf "$work"
    mkdir -p "$work/debs" "$work/root"
    say "fetching $1 for the tests"
    # shellcheck disable=SC2046 # a list of names
    (cd "$work/debs" && apt-get "${apt_options[@]}" -qq download "$@" $(missing_libraries "$1" | sort -u)) || return 1
    for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$work/root"; done
    chmod -R a+rX "$work"
    python3 "$root/scripts/unpack.py" publish "$work/root" "$dir"
    rm -rf "$work"
}

# wrapper PACKAGE PROGRAM [NAME=VALUE]: writes a script that runs the unpacked PROGRAM with the unpacked libraries and that
# variable, and prints its path.
wrapper() {
    local script=$test_tools/bin/${2##*/} libs
    libs=$(find "$test_tools/$1" -name 'lib*.so*' -exec dirname {} \; | sort -u | tr '\n' ':')
    mkdir -p "$test_tools/bin"
    printf '#!/bin/sh\n%s LD_LIBRARY_PATH="%s$LD_LIBRARY_PATH" exec "%s" "$@"\n' "${3:-}" "$libs" "$test_tools/$1/$2" >"$script.$$"
    chmod 755 "$script.$$"
    mv "$script.$$" "$script"
    echo "$script"
}

unpack_pgbouncer() {
    unpack_package pgbouncer && wrapper pgbouncer usr/sbin/pgbouncer
}

unpack_promtool() {
    unpack_package prometheus && wrapper prometheus usr/bin/promtool
}

unpack_tesseract() {
    local data
    unpack_package tesseract-ocr tesseract-ocr-eng tesseract-ocr-osd || return 1
    data=$(echo "$test_tools"/tesseract-ocr/usr/share/tesseract-ocr/*/tessdata)
    wrapper tesseract-ocr usr/bin/tesseract "TESSDATA_PREFIX=\"$data\""
}

unpack_tls_postgres() {
    local package program bin
    package=$(apt-cache "${apt_options[@]}" depends postgresql 2>/dev/null | sed -n 's/.*Depends: \(postgresql-[0-9]*\)$/\1/p')
    [ -n "$package" ] && unpack_package "$package" || return 1
    bin=$(cd "$test_tools/$package/usr/lib/postgresql"/*/bin && pwd)
    for program in initdb postgres; do wrapper "$package" "${bin#"$test_tools/$package/"}/$program" >/dev/null; done
    echo "$test_tools/bin"
}

has_test_tools() (
    [ -s "$test_tools/env" ] && . "$test_tools/env" && [ -x "$APP_PGBOUNCER" ] && [ -x "$APP_TLS_PG_BIN/postgres" ] &&
        [ -x "${APP_PROMTOOL:-}" ] && [ -x "${APP_TESSERACT:-}" ]
)

# tool NAME TEXT PACKAGE: prints the path of the installed program, else unpacks it, with fresh lists if the old ones fail.
tool() {
    "find_$1" && return 0
    "unpack_$1" || { update_lists >&2 && "unpack_$1"; } || die "$2 could not be fetched: install the package $3"
}

fetch_test_tools() {
    local pgbouncer postgres promtool tesseract
    has_test_tools && return 0
    find_pgbouncer >/dev/null && find_tls_postgres >/dev/null && find_promtool >/dev/null && find_tesseract >/dev/null || {
        command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1 ||
            die "the tests need PgBouncer, a PostgreSQL built with TLS, promtool and Tesseract: install them (macOS: brew install pgbouncer postgresql@17 prometheus tesseract)"
        mkdir -p "$test_tools"
        apt_knows pgbouncer || update_lists || die "the package lists could not be updated (apt-get says why above)"
    }
    pgbouncer=$(tool pgbouncer PgBouncer pgbouncer) || exit 1
    postgres=$(tool tls_postgres "a PostgreSQL built with TLS" postgresql) || exit 1
    promtool=$(tool promtool promtool prometheus) || exit 1
    tesseract=$(tool tesseract "Tesseract with English" tesseract-ocr) || exit 1
    mkdir -p "$test_tools"
    printf 'export APP_PGBOUNCER=%q APP_TLS_PG_BIN=%q APP_PROMTOOL=%q APP_TESSERACT=%q\n' "$pgbouncer" "$postgres" "$promtool" "$tesseract" >"$test_tools/env.$$"
    mv "$test_tools/env.$$" "$test_tools/env"
}
