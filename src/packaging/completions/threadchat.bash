# Made from --help by tests/packaging.rs.

_threadchat() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $prev in
        --secret-file|--tls-cert|--tls-key|--log-file) compopt -o default; return ;;
        --log-level) mapfile -t COMPREPLY < <(compgen -W 'off error warn info debug trace' -- "$cur"); return ;;
        --listen|--listen-backlog|--max-connections|--max-per-address|--max-rooms|--history|--max-message|--max-backlog|--ping|--rate-limit|--writers|--allow-origin|--trusted-proxy|--cluster) return ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W '--listen --listen-backlog --max-connections --max-per-address --max-rooms --history --max-message --max-backlog --ping --rate-limit --writers --allow-origin --secret-file --trusted-proxy --tls-cert --tls-key --cluster --metrics --log-level --log-file --help --version' -- "$cur")
}
complete -F _threadchat threadchat

_threadchat_client() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $prev in
        --secret-file|--ca) compopt -o default; return ;;
        --name) return ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W '--name --secret-file --ca --no-time --help --version' -- "$cur")
}
complete -F _threadchat_client threadchat-client
