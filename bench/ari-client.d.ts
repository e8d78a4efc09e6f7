/** The part of the npm package `ari-client`, which has no types of its own, that the benchmark uses. */
declare module 'ari-client' {
  export interface Playback {
    once(event: 'PlaybackFinished', handler: (event: unknown, playback: { state: string }) => void): void;
  }
  export interface Channel {
    once(event: 'StasisStart' | 'ChannelDestroyed', handler: () => void): void;
    originate(options: Record<string, unknown>): Promise<unknown>;
    play(options: { media: string }, playback: Playback): Promise<unknown>;
    hangup(): Promise<void>;
  }
  export interface Client {
    start(app: string): Promise<void>;
    Channel(): Channel;
    Playback(): Playback;
  }
  const ari: { connect(url: string, user: string, password: string): Promise<Client> };
  export default ari;
}
