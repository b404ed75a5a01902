import CLibCurl
import Glibc

extension CurlExchange {
    /// Looks at each address before it is connected to.
    func confine(_ handle: UnsafeMutableRawPointer) {
        _ = curl_easy_set_string(handle, CURLOPT_PROXY, "")
        // A connection that is kept may have been opened by a request that was not confined.
        _ = curl_easy_set_long(handle, CURLOPT_FRESH_CONNECT, 1)
        let context = Unmanaged.passUnretained(self).toOpaque()
        _ = curl_easy_set_pointer(handle, CURLOPT_OPENSOCKETDATA, context)
        _ = curl_easy_set_opensocket_callback(handle) { own, _, address in
            guard let address, CurlExchange.at(own).mayReach(address) else { return -1 }
            let type = address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue)
            return socket(address.pointee.family, type, address.pointee.protocol)
        }
    }

    private func mayReach(_ address: UnsafeMutablePointer<curl_sockaddr>) -> Bool {
        // The address is longer than the field that it begins in.
        let place = MemoryLayout<curl_sockaddr>.offset(of: \.addr) ?? 0
        let bytes = UnsafeRawPointer(address) + place
        guard let found = NetworkAddress(bytes, family: address.pointee.family) else {
            return false
        }
        if found.isPublic { return true }
        refused = found
        return false
    }
}
