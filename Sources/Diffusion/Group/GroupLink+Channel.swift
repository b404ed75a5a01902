package import Collectives

extension GroupLink: GroupChannel {}
